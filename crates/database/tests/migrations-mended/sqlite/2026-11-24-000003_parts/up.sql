CREATE TABLE parts (
    id INTEGER NOT NULL PRIMARY KEY,
    thing_id INTEGER NOT NULL
);
CREATE INDEX parts_thing_idx ON parts (thing_id);
