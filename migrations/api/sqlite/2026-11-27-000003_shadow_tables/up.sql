-- Where deleted instances are moved to: each table has the columns of the one that its name says.
CREATE TABLE IF NOT EXISTS shadow_instance_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    cell_id INTEGER,
    project_id VARCHAR(255) NOT NULL,
    queued_for_delete BOOLEAN,
    user_id VARCHAR(255)
);
CREATE INDEX IF NOT EXISTS shadow_instance_mappings_instance_uuid_idx ON shadow_instance_mappings (instance_uuid);
CREATE INDEX IF NOT EXISTS shadow_instance_mappings_updated_at_idx ON shadow_instance_mappings (updated_at);

CREATE TABLE IF NOT EXISTS shadow_request_specs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    spec TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS shadow_request_specs_instance_uuid_idx ON shadow_request_specs (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_boot_histories (
    instance_uuid VARCHAR(36) NOT NULL,
    request_id VARCHAR(255) NOT NULL,
    history TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (instance_uuid)
);
