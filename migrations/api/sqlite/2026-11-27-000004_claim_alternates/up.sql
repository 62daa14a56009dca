ALTER TABLE claims ADD COLUMN alternates TEXT;
