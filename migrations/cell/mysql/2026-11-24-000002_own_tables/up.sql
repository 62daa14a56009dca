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

CREATE TABLE IF NOT EXISTS instance_fences (
    instance_uuid VARCHAR(36) NOT NULL,
    fence BIGINT NOT NULL,
    written_epoch BIGINT,
    verdict_uuid VARCHAR(36),
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    PRIMARY KEY (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS verdicts (
    uuid VARCHAR(36) NOT NULL,
    body MEDIUMTEXT NOT NULL,
    asked MEDIUMTEXT,
    snapshot_uuid VARCHAR(36),
    created_at DATETIME(6) NULL,
    PRIMARY KEY (uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS host_snapshots (
    uuid VARCHAR(36) NOT NULL,
    generation BIGINT NOT NULL,
    body MEDIUMBLOB NOT NULL,
    created_at DATETIME(6) NULL,
    PRIMARY KEY (uuid)
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
