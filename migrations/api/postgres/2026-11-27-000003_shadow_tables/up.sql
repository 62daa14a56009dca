-- Where deleted instances are moved to: each table has the columns of the one that its name says.
CREATE TABLE IF NOT EXISTS shadow_instance_mappings (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    cell_id INTEGER,
    project_id VARCHAR(255) COLLATE "C" NOT NULL,
    queued_for_delete BOOLEAN,
    user_id VARCHAR(255) COLLATE "C"
);
CREATE INDEX IF NOT EXISTS shadow_instance_mappings_instance_uuid_idx ON shadow_instance_mappings (instance_uuid);
CREATE INDEX IF NOT EXISTS shadow_instance_mappings_updated_at_idx ON shadow_instance_mappings (updated_at);

CREATE TABLE IF NOT EXISTS shadow_request_specs (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    spec TEXT COLLATE "C" NOT NULL
);
CREATE INDEX IF NOT EXISTS shadow_request_specs_instance_uuid_idx ON shadow_request_specs (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_boot_histories (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    request_id VARCHAR(255) COLLATE "C" NOT NULL,
    history TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (instance_uuid)
);
