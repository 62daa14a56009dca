CREATE TABLE database_identity (
    id INTEGER NOT NULL PRIMARY KEY,
    kind VARCHAR(16) NOT NULL,
    plane_uuid VARCHAR(36) NULL,
    cell_uuid VARCHAR(36) NULL,
    schema_version BIGINT NOT NULL,
    oldest_binary BIGINT NOT NULL,
    created_at TIMESTAMP NULL,
    updated_at TIMESTAMP NULL
);
