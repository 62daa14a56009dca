-- Tables of our own, beside Nova's.
-- Every statement is guarded: DDL commits by itself here, so a run that was interrupted is run again.
CREATE TABLE IF NOT EXISTS database_identity (
    id INT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    plane_uuid VARCHAR(36),
    cell_uuid VARCHAR(36),
    schema_version BIGINT NOT NULL,
    oldest_binary BIGINT NOT NULL,
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS boot_states (
    instance_uuid VARCHAR(36) NOT NULL,
    group_uuid VARCHAR(36) NOT NULL,
    group_index INT NOT NULL,
    group_min INT NOT NULL,
    epoch BIGINT NOT NULL,
    decided_epoch BIGINT,
    owner VARCHAR(36),
    lease_until DATETIME(6) NULL,
    not_before DATETIME(6) NULL,
    attempts INT NOT NULL,
    placements INT NOT NULL,
    excluded_cells MEDIUMTEXT,
    request_version BIGINT NOT NULL,
    vcpus INT NOT NULL,
    memory_mb INT NOT NULL,
    display_name VARCHAR(255),
    image_ref VARCHAR(255),
    instance_type_id INT,
    availability_zone VARCHAR(255),
    key_name VARCHAR(255),
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NULL,
    PRIMARY KEY (instance_uuid),
    KEY boot_states_group_uuid_idx (group_uuid),
    KEY boot_states_owner_idx (owner)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS boot_intents (
    instance_uuid VARCHAR(36) NOT NULL,
    epoch BIGINT NOT NULL,
    cell_uuid VARCHAR(36) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (instance_uuid, epoch),
    KEY boot_intents_cell_uuid_idx (cell_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS boot_groups (
    uuid VARCHAR(36) NOT NULL,
    min_count_met BOOLEAN NOT NULL,
    verdict MEDIUMTEXT,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NULL,
    PRIMARY KEY (uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS client_tokens (
    project_id VARCHAR(255) NOT NULL,
    token VARCHAR(255) NOT NULL,
    group_uuid VARCHAR(36) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (project_id, token)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS claims (
    instance_uuid VARCHAR(36) NOT NULL,
    epoch BIGINT NOT NULL,
    host VARCHAR(255) NOT NULL,
    vcpus INT NOT NULL,
    memory_mb INT NOT NULL,
    disk_gb INT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (instance_uuid),
    KEY claims_host_idx (host)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS host_capacity (
    host VARCHAR(255) NOT NULL,
    node VARCHAR(255) NOT NULL,
    cell_uuid VARCHAR(36) NOT NULL,
    vcpus_limit INT NOT NULL,
    memory_mb_limit INT NOT NULL,
    disk_gb_limit INT NOT NULL,
    vcpus_used INT NOT NULL,
    memory_mb_used INT NOT NULL,
    disk_gb_used INT NOT NULL,
    traits MEDIUMTEXT NOT NULL,
    service_disabled BOOLEAN NOT NULL,
    forced_down BOOLEAN NOT NULL,
    last_seen_up DATETIME(6) NULL,
    generation BIGINT NOT NULL,
    served_generation BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NULL,
    PRIMARY KEY (host),
    KEY host_capacity_cell_uuid_idx (cell_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS outbox (
    id VARCHAR(36) NOT NULL,
    instance_uuid VARCHAR(36) NOT NULL,
    sequence BIGINT NOT NULL,
    operation VARCHAR(16) NOT NULL,
    host VARCHAR(255),
    payload MEDIUMTEXT NOT NULL,
    attempts INT NOT NULL,
    not_before DATETIME(6) NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_outbox0instance_uuid0sequence0operation UNIQUE (instance_uuid, sequence, operation),
    KEY outbox_not_before_idx (not_before)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS quota_locks (
    project_id VARCHAR(255) NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS counters (
    name VARCHAR(64) NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS retries (
    sequence BIGINT NOT NULL,
    instance_uuid VARCHAR(36) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (sequence)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS boot_histories (
    instance_uuid VARCHAR(36) NOT NULL,
    request_id VARCHAR(255) NOT NULL,
    history MEDIUMTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS waiting_classes (
    uuid VARCHAR(36) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    disk_gb INTEGER NOT NULL,
    served_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (uuid),
    KEY waiting_classes_served_at_idx (served_at),
    KEY waiting_classes_project_id_idx (project_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS waiting_instances (
    instance_uuid VARCHAR(36) NOT NULL,
    class_uuid VARCHAR(36) NOT NULL,
    state VARCHAR(16) NOT NULL,
    version BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before DATETIME(6),
    expires_at DATETIME(6) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6),
    PRIMARY KEY (instance_uuid),
    KEY waiting_instances_class_uuid_state_created_at_idx (class_uuid, state, created_at),
    KEY waiting_instances_state_not_before_idx (state, not_before),
    KEY waiting_instances_expires_at_idx (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
