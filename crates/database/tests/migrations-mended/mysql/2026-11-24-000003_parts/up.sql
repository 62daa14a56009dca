CREATE TABLE IF NOT EXISTS parts (
    id INTEGER NOT NULL PRIMARY KEY,
    thing_id INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS parts_thing_idx ON parts (thing_id);
