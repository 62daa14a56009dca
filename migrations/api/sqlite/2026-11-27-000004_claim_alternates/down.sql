ALTER TABLE claims DROP COLUMN alternates;
