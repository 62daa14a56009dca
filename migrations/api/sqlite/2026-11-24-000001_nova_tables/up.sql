-- Tables that Nova has too, in its layout.
CREATE TABLE IF NOT EXISTS cell_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    transport_url TEXT,
    database_connection TEXT,
    disabled BOOLEAN,
    CONSTRAINT uniq_cell_mappings0uuid UNIQUE (uuid)
);

CREATE TABLE IF NOT EXISTS instance_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    cell_id INTEGER,
    project_id VARCHAR(255) NOT NULL,
    queued_for_delete BOOLEAN,
    user_id VARCHAR(255),
    CONSTRAINT uniq_instance_mappings0instance_uuid UNIQUE (instance_uuid),
    CONSTRAINT fk_instance_mappings0cell_id FOREIGN KEY (cell_id) REFERENCES cell_mappings (id)
);
CREATE INDEX IF NOT EXISTS instance_mappings_user_id_project_id_idx ON instance_mappings (user_id, project_id);
CREATE INDEX IF NOT EXISTS instance_mappings_project_created_idx ON instance_mappings (project_id, queued_for_delete, created_at, instance_uuid);
CREATE INDEX IF NOT EXISTS instance_mappings_created_idx ON instance_mappings (queued_for_delete, created_at, instance_uuid);
CREATE INDEX IF NOT EXISTS instance_mappings_cell_id_project_id_idx ON instance_mappings (cell_id, project_id);

CREATE TABLE IF NOT EXISTS host_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    cell_id INTEGER NOT NULL,
    host VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_host_mappings0host UNIQUE (host),
    CONSTRAINT fk_host_mappings0cell_id FOREIGN KEY (cell_id) REFERENCES cell_mappings (id)
);
CREATE INDEX IF NOT EXISTS host_mappings_cell_id_idx ON host_mappings (cell_id);

CREATE TABLE IF NOT EXISTS build_requests (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    project_id VARCHAR(255) NOT NULL,
    instance_uuid VARCHAR(36),
    instance TEXT,
    block_device_mappings TEXT,
    tags TEXT,
    CONSTRAINT uniq_build_requests0instance_uuid UNIQUE (instance_uuid)
);
CREATE INDEX IF NOT EXISTS build_requests_project_id_idx ON build_requests (project_id);

CREATE TABLE IF NOT EXISTS request_specs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    spec TEXT NOT NULL,
    CONSTRAINT uniq_request_specs0instance_uuid UNIQUE (instance_uuid)
);

CREATE TABLE IF NOT EXISTS flavors (
    created_at DATETIME,
    updated_at DATETIME,
    name VARCHAR(255) NOT NULL,
    id INTEGER NOT NULL PRIMARY KEY,
    memory_mb INTEGER NOT NULL,
    vcpus INTEGER NOT NULL,
    swap INTEGER NOT NULL,
    vcpu_weight INTEGER,
    flavorid VARCHAR(255) NOT NULL,
    rxtx_factor FLOAT,
    root_gb INTEGER,
    ephemeral_gb INTEGER,
    disabled BOOLEAN,
    is_public BOOLEAN,
    description TEXT,
    CONSTRAINT uniq_flavors0flavorid UNIQUE (flavorid),
    CONSTRAINT uniq_flavors0name UNIQUE (name)
);

CREATE TABLE IF NOT EXISTS flavor_extra_specs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    flavor_id INTEGER NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    CONSTRAINT uniq_flavor_extra_specs0flavor_id0key UNIQUE (flavor_id, "key"),
    CONSTRAINT fk_flavor_extra_specs0flavor_id FOREIGN KEY (flavor_id) REFERENCES flavors (id)
);

CREATE TABLE IF NOT EXISTS flavor_projects (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    flavor_id INTEGER NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_flavor_projects0flavor_id0project_id UNIQUE (flavor_id, project_id),
    CONSTRAINT fk_flavor_projects0flavor_id FOREIGN KEY (flavor_id) REFERENCES flavors (id)
);

CREATE TABLE IF NOT EXISTS quotas (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME,
    updated_at DATETIME,
    project_id VARCHAR(255),
    resource VARCHAR(255) NOT NULL,
    hard_limit INTEGER,
    CONSTRAINT uniq_quotas0project_id0resource UNIQUE (project_id, resource)
);

CREATE TABLE IF NOT EXISTS project_user_quotas (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME,
    updated_at DATETIME,
    user_id VARCHAR(255) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    resource VARCHAR(255) NOT NULL,
    hard_limit INTEGER,
    CONSTRAINT uniq_project_user_quotas0user_id0project_id0resource UNIQUE (user_id, project_id, resource)
);
CREATE INDEX IF NOT EXISTS project_user_quotas_project_id_idx ON project_user_quotas (project_id);
CREATE INDEX IF NOT EXISTS project_user_quotas_user_id_idx ON project_user_quotas (user_id);

CREATE TABLE IF NOT EXISTS quota_classes (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    class_name VARCHAR(255),
    resource VARCHAR(255),
    hard_limit INTEGER
);
CREATE INDEX IF NOT EXISTS quota_classes_class_name_idx ON quota_classes (class_name);

CREATE TABLE IF NOT EXISTS aggregates (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    uuid VARCHAR(36),
    name VARCHAR(255),
    CONSTRAINT uniq_aggregate0name UNIQUE (name)
);
CREATE INDEX IF NOT EXISTS aggregates0aggregate_uuid_idx ON aggregates (uuid);

CREATE TABLE IF NOT EXISTS aggregate_hosts (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    host VARCHAR(255),
    aggregate_id INTEGER NOT NULL,
    CONSTRAINT uniq_aggregate_hosts0host0aggregate_id UNIQUE (host, aggregate_id),
    CONSTRAINT fk_aggregate_hosts0aggregate_id FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
);
CREATE INDEX IF NOT EXISTS aggregate_hosts_aggregate_id_idx ON aggregate_hosts (aggregate_id);

CREATE TABLE IF NOT EXISTS aggregate_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    aggregate_id INTEGER NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_aggregate_metadata0aggregate_id0key UNIQUE (aggregate_id, "key"),
    CONSTRAINT fk_aggregate_metadata0aggregate_id FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
);
CREATE INDEX IF NOT EXISTS aggregate_metadata_key_idx ON aggregate_metadata ("key");

CREATE TABLE IF NOT EXISTS instance_groups (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    CONSTRAINT uniq_instance_groups0uuid UNIQUE (uuid)
);

CREATE TABLE IF NOT EXISTS instance_group_member (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(255),
    group_id INTEGER NOT NULL,
    CONSTRAINT fk_instance_group_member0group_id FOREIGN KEY (group_id) REFERENCES instance_groups (id)
);
CREATE INDEX IF NOT EXISTS instance_group_member_instance_idx ON instance_group_member (instance_uuid);
CREATE INDEX IF NOT EXISTS instance_group_member_group_id_idx ON instance_group_member (group_id);

CREATE TABLE IF NOT EXISTS instance_group_policy (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    policy VARCHAR(255),
    group_id INTEGER NOT NULL,
    rules TEXT,
    CONSTRAINT fk_instance_group_policy0group_id FOREIGN KEY (group_id) REFERENCES instance_groups (id)
);
CREATE INDEX IF NOT EXISTS instance_group_policy_policy_idx ON instance_group_policy (policy);
CREATE INDEX IF NOT EXISTS instance_group_policy_group_id_idx ON instance_group_policy (group_id);

CREATE TABLE IF NOT EXISTS key_pairs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    fingerprint VARCHAR(255),
    public_key TEXT,
    "type" VARCHAR(4) NOT NULL DEFAULT 'ssh',
    CONSTRAINT uniq_key_pairs0user_id0name UNIQUE (user_id, name)
);
