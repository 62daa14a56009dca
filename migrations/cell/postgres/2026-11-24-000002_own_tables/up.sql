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

CREATE TABLE IF NOT EXISTS instance_fences (
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    fence BIGINT NOT NULL,
    written_epoch BIGINT,
    verdict_uuid VARCHAR(36) COLLATE "C",
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    PRIMARY KEY (instance_uuid)
);

CREATE TABLE IF NOT EXISTS verdicts (
    uuid VARCHAR(36) COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    asked TEXT COLLATE "C",
    snapshot_uuid VARCHAR(36) COLLATE "C",
    created_at TIMESTAMP,
    PRIMARY KEY (uuid)
);

CREATE TABLE IF NOT EXISTS host_snapshots (
    uuid VARCHAR(36) COLLATE "C" NOT NULL,
    generation BIGINT NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP,
    PRIMARY KEY (uuid)
);

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
