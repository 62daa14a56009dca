CREATE TABLE parts (
    id INTEGER NOT NULL PRIMARY KEY,
    thing_id INTEGER NOT NULL
);
-- The column is misspelt, so this migration ends in its middle.
CREATE INDEX parts_thing_idx ON parts (thin_id);
