DROP TABLE IF EXISTS outbox;
DROP TABLE IF EXISTS snapshots;
DROP TABLE IF EXISTS verdicts;
DROP TABLE IF EXISTS instance_fences;
DROP TABLE IF EXISTS database_identity;
