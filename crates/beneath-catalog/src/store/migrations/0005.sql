-- Where very much happens, the same thing again and again is one record that says how often.
ALTER TABLE audit ADD COLUMN times INTEGER NOT NULL DEFAULT 1;
