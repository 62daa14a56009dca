-- Tables of our own, beside Nova's.
CREATE TABLE IF NOT EXISTS database_identity (
    id INTEGER NOT NULL,
    kind VARCHAR(16) NOT NULL,
    plane_uuid VARCHAR(36),
    cell_uuid VARCHAR(36),
    schema_version BIGINT NOT NULL,
    oldest_binary BIGINT NOT NULL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
);

CREATE TABLE IF NOT EXISTS instance_fences (
    instance_uuid VARCHAR(36) NOT NULL,
    fence BIGINT NOT NULL,
    written_epoch BIGINT,
    verdict_uuid VARCHAR(36),
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (instance_uuid)
);

CREATE TABLE IF NOT EXISTS verdicts (
    uuid VARCHAR(36) NOT NULL,
    body TEXT NOT NULL,
    asked TEXT,
    snapshot_uuid VARCHAR(36),
    created_at DATETIME,
    PRIMARY KEY (uuid)
);

CREATE TABLE IF NOT EXISTS host_snapshots (
    uuid VARCHAR(36) NOT NULL,
    generation BIGINT NOT NULL,
    body BLOB NOT NULL,
    created_at DATETIME,
    PRIMARY KEY (uuid)
);

CREATE TABLE IF NOT EXISTS outbox (
    id VARCHAR(36) NOT NULL,
    instance_uuid VARCHAR(36) NOT NULL,
    sequence BIGINT NOT NULL,
    operation VARCHAR(16) NOT NULL,
    host VARCHAR(255),
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before DATETIME,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_outbox0instance_uuid0sequence0operation UNIQUE (instance_uuid, sequence, operation)
);
CREATE INDEX IF NOT EXISTS outbox_not_before_idx ON outbox (not_before);
