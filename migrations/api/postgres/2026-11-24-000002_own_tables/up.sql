-- Tables of our own, beside Nova's.
CREATE TABLE IF NOT EXISTS database_identity (
    id INTEGER NOT NULL,
    kind VARCHAR(16) COLLATE "C" NOT NULL,
    plane_uuid VARCHAR(36) COLLATE "C",
    cell_uuid VARCHAR(36) COLLATE "C",
    schema_version BIGINT NOT NULL,
    oldest_binary BIGINT NOT NULL,
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS boot_states (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    group_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    group_index INTEGER NOT NULL,
    group_min INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    decided_epoch BIGINT,
    owner VARCHAR(36) COLLATE "C",
    lease_until TIMESTAMP,
    not_before TIMESTAMP,
    attempts INTEGER NOT NULL,
    placements INTEGER NOT NULL,
    excluded_cells TEXT COLLATE "C",
    request_version BIGINT NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    display_name VARCHAR(255) COLLATE "C",
    image_ref VARCHAR(255) COLLATE "C",
    instance_type_id INTEGER,
    availability_zone VARCHAR(255) COLLATE "C",
    key_name VARCHAR(255) COLLATE "C",
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP,
    PRIMARY KEY (instance_uuid)
);
CREATE INDEX IF NOT EXISTS boot_states_group_uuid_idx ON boot_states (group_uuid);
CREATE INDEX IF NOT EXISTS boot_states_owner_idx ON boot_states (owner);

CREATE TABLE IF NOT EXISTS boot_intents (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    cell_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (instance_uuid, epoch)
);
CREATE INDEX IF NOT EXISTS boot_intents_cell_uuid_idx ON boot_intents (cell_uuid);

CREATE TABLE IF NOT EXISTS boot_groups (
    uuid VARCHAR(36) COLLATE "C" NOT NULL,
    min_count_met BOOLEAN NOT NULL,
    verdict TEXT COLLATE "C",
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP,
    PRIMARY KEY (uuid)
);

CREATE TABLE IF NOT EXISTS client_tokens (
    project_id VARCHAR(255) COLLATE "C" NOT NULL,
    token VARCHAR(255) COLLATE "C" NOT NULL,
    group_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    digest VARCHAR(64) COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (project_id, token)
);

CREATE TABLE IF NOT EXISTS claims (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    host VARCHAR(255) COLLATE "C" NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    disk_gb INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (instance_uuid)
);
CREATE INDEX IF NOT EXISTS claims_host_idx ON claims (host);

CREATE TABLE IF NOT EXISTS host_capacity (
    host VARCHAR(255) COLLATE "C" NOT NULL,
    node VARCHAR(255) COLLATE "C" NOT NULL,
    cell_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    vcpus_limit INTEGER NOT NULL,
    memory_mb_limit INTEGER NOT NULL,
    disk_gb_limit INTEGER NOT NULL,
    vcpus_used INTEGER NOT NULL,
    memory_mb_used INTEGER NOT NULL,
    disk_gb_used INTEGER NOT NULL,
    traits TEXT COLLATE "C" NOT NULL,
    service_disabled BOOLEAN NOT NULL,
    forced_down BOOLEAN NOT NULL,
    last_seen_up TIMESTAMP,
    generation BIGINT NOT NULL,
    served_generation BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP,
    PRIMARY KEY (host)
);
CREATE INDEX IF NOT EXISTS host_capacity_cell_uuid_idx ON host_capacity (cell_uuid);

CREATE TABLE IF NOT EXISTS outbox (
    id VARCHAR(36) COLLATE "C" NOT NULL,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    operation VARCHAR(16) COLLATE "C" NOT NULL,
    host VARCHAR(255) COLLATE "C",
    payload TEXT COLLATE "C" NOT NULL,
    attempts INTEGER NOT NULL,
    not_before TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_outbox0instance_uuid0sequence0operation UNIQUE (instance_uuid, sequence, operation)
);
CREATE INDEX IF NOT EXISTS outbox_not_before_idx ON outbox (not_before);

CREATE TABLE IF NOT EXISTS quota_locks (
    project_id VARCHAR(255) COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (project_id)
);

CREATE TABLE IF NOT EXISTS counters (
    name VARCHAR(64) COLLATE "C" NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE IF NOT EXISTS retries (
    sequence BIGINT NOT NULL,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (sequence)
);

CREATE TABLE IF NOT EXISTS boot_histories (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    request_id VARCHAR(255) COLLATE "C" NOT NULL,
    history TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (instance_uuid)
);

CREATE TABLE IF NOT EXISTS waiting_classes (
    uuid VARCHAR(36) COLLATE "C" NOT NULL,
    project_id VARCHAR(255) COLLATE "C" NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    disk_gb INTEGER NOT NULL,
    served_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (uuid)
);
CREATE INDEX IF NOT EXISTS waiting_classes_served_at_idx ON waiting_classes (served_at);
CREATE INDEX IF NOT EXISTS waiting_classes_project_id_idx ON waiting_classes (project_id);

CREATE TABLE IF NOT EXISTS waiting_instances (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    class_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    state VARCHAR(16) COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before TIMESTAMP,
    expires_at TIMESTAMP NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP,
    PRIMARY KEY (instance_uuid)
);
CREATE INDEX IF NOT EXISTS waiting_instances_class_uuid_state_created_at_idx ON waiting_instances (class_uuid, state, created_at);
CREATE INDEX IF NOT EXISTS waiting_instances_state_not_before_idx ON waiting_instances (state, not_before);
CREATE INDEX IF NOT EXISTS waiting_instances_expires_at_idx ON waiting_instances (expires_at);
