-- What fs-verity said of the content when it was published, where the file had it: the root of the hash tree against which
-- the kernel checks each read.
ALTER TABLE entries ADD COLUMN verity BLOB CHECK (verity IS NULL OR pin = 'content' AND length(verity) IN (32, 64));
