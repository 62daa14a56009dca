-- Tables that Nova has too, in its layout.
-- Every statement is guarded: DDL commits by itself here, so a run that was interrupted is run again.
CREATE TABLE IF NOT EXISTS cell_mappings (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    transport_url MEDIUMTEXT,
    database_connection MEDIUMTEXT,
    disabled BOOLEAN,
    CONSTRAINT uniq_cell_mappings0uuid UNIQUE (uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS instance_mappings (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    cell_id INT,
    project_id VARCHAR(255) NOT NULL,
    queued_for_delete BOOLEAN,
    user_id VARCHAR(255),
    CONSTRAINT uniq_instance_mappings0instance_uuid UNIQUE (instance_uuid),
    KEY instance_mappings_user_id_project_id_idx (user_id, project_id),
    KEY instance_mappings_project_created_idx (project_id, queued_for_delete, created_at, instance_uuid),
    KEY instance_mappings_created_idx (queued_for_delete, created_at, instance_uuid),
    KEY instance_mappings_cell_id_project_id_idx (cell_id, project_id),
    CONSTRAINT fk_instance_mappings0cell_id FOREIGN KEY (cell_id) REFERENCES cell_mappings (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS host_mappings (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    cell_id INT NOT NULL,
    host VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_host_mappings0host UNIQUE (host),
    KEY host_mappings_cell_id_idx (cell_id),
    CONSTRAINT fk_host_mappings0cell_id FOREIGN KEY (cell_id) REFERENCES cell_mappings (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS build_requests (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    project_id VARCHAR(255) NOT NULL,
    instance_uuid VARCHAR(36),
    instance MEDIUMTEXT,
    block_device_mappings MEDIUMTEXT,
    tags MEDIUMTEXT,
    CONSTRAINT uniq_build_requests0instance_uuid UNIQUE (instance_uuid),
    KEY build_requests_project_id_idx (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS request_specs (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    spec MEDIUMTEXT NOT NULL,
    CONSTRAINT uniq_request_specs0instance_uuid UNIQUE (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS flavors (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    name VARCHAR(255) NOT NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    memory_mb INT NOT NULL,
    vcpus INT NOT NULL,
    swap INT NOT NULL,
    vcpu_weight INT,
    flavorid VARCHAR(255) NOT NULL,
    rxtx_factor DOUBLE,
    root_gb INT,
    ephemeral_gb INT,
    disabled BOOLEAN,
    is_public BOOLEAN,
    description MEDIUMTEXT,
    CONSTRAINT uniq_flavors0flavorid UNIQUE (flavorid),
    CONSTRAINT uniq_flavors0name UNIQUE (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS flavor_extra_specs (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    flavor_id INT NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    CONSTRAINT uniq_flavor_extra_specs0flavor_id0key UNIQUE (flavor_id, `key`),
    CONSTRAINT fk_flavor_extra_specs0flavor_id FOREIGN KEY (flavor_id) REFERENCES flavors (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS flavor_projects (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    flavor_id INT NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_flavor_projects0flavor_id0project_id UNIQUE (flavor_id, project_id),
    CONSTRAINT fk_flavor_projects0flavor_id FOREIGN KEY (flavor_id) REFERENCES flavors (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS quotas (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    project_id VARCHAR(255),
    resource VARCHAR(255) NOT NULL,
    hard_limit INT,
    CONSTRAINT uniq_quotas0project_id0resource UNIQUE (project_id, resource)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS project_user_quotas (
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    user_id VARCHAR(255) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    resource VARCHAR(255) NOT NULL,
    hard_limit INT,
    CONSTRAINT uniq_project_user_quotas0user_id0project_id0resource UNIQUE (user_id, project_id, resource),
    KEY project_user_quotas_project_id_idx (project_id),
    KEY project_user_quotas_user_id_idx (user_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS quota_classes (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    class_name VARCHAR(255),
    resource VARCHAR(255),
    hard_limit INT,
    KEY quota_classes_class_name_idx (class_name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS aggregates (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(36),
    name VARCHAR(255),
    CONSTRAINT uniq_aggregate0name UNIQUE (name),
    KEY aggregate_uuid_idx (uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS aggregate_hosts (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    host VARCHAR(255),
    aggregate_id INT NOT NULL,
    CONSTRAINT uniq_aggregate_hosts0host0aggregate_id UNIQUE (host, aggregate_id),
    KEY aggregate_hosts_aggregate_id_idx (aggregate_id),
    CONSTRAINT fk_aggregate_hosts0aggregate_id FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS aggregate_metadata (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    aggregate_id INT NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_aggregate_metadata0aggregate_id0key UNIQUE (aggregate_id, `key`),
    KEY aggregate_metadata_key_idx (`key`),
    CONSTRAINT fk_aggregate_metadata0aggregate_id FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS instance_groups (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    CONSTRAINT uniq_instance_groups0uuid UNIQUE (uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS instance_group_member (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    instance_uuid VARCHAR(255),
    group_id INT NOT NULL,
    KEY instance_group_member_instance_idx (instance_uuid),
    KEY instance_group_member_group_id_idx (group_id),
    CONSTRAINT fk_instance_group_member0group_id FOREIGN KEY (group_id) REFERENCES instance_groups (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS instance_group_policy (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    policy VARCHAR(255),
    group_id INT NOT NULL,
    rules MEDIUMTEXT,
    KEY instance_group_policy_policy_idx (policy),
    KEY instance_group_policy_group_id_idx (group_id),
    CONSTRAINT fk_instance_group_policy0group_id FOREIGN KEY (group_id) REFERENCES instance_groups (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS key_pairs (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    fingerprint VARCHAR(255),
    public_key MEDIUMTEXT,
    `type` VARCHAR(4) NOT NULL DEFAULT 'ssh',
    CONSTRAINT uniq_key_pairs0user_id0name UNIQUE (user_id, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
