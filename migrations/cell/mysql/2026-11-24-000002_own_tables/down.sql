DROP TABLE IF EXISTS outbox;
DROP TABLE IF EXISTS host_snapshots;
DROP TABLE IF EXISTS verdicts;
DROP TABLE IF EXISTS instance_fences;
DROP TABLE IF EXISTS database_identity;
