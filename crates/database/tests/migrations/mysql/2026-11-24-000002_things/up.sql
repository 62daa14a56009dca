CREATE TABLE things (
    id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255) NULL,
    amount BIGINT NOT NULL,
    ratio DOUBLE NULL,
    enabled BOOLEAN NULL,
    body MEDIUMTEXT NULL,
    parent_id INTEGER NULL,
    created_at DATETIME(6) NULL,
    CONSTRAINT uniq_things_uuid UNIQUE (uuid),
    CONSTRAINT fk_things_parent FOREIGN KEY (parent_id) REFERENCES things (id)
);
CREATE INDEX things_parent_idx ON things (parent_id);
CREATE INDEX things_name_amount_idx ON things (name, amount);
