-- Where deleted instances are moved to: each table has the columns of the one that its name says.
-- Every statement is guarded: DDL commits by itself here, so a run that was interrupted is run again.
CREATE TABLE IF NOT EXISTS shadow_instance_mappings (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    cell_id INT,
    project_id VARCHAR(255) NOT NULL,
    queued_for_delete BOOLEAN,
    user_id VARCHAR(255),
    KEY shadow_instance_mappings_instance_uuid_idx (instance_uuid),
    KEY shadow_instance_mappings_updated_at_idx (updated_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_request_specs (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    spec MEDIUMTEXT NOT NULL,
    KEY shadow_request_specs_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_boot_histories (
    instance_uuid VARCHAR(36) NOT NULL,
    request_id VARCHAR(255) NOT NULL,
    history MEDIUMTEXT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
