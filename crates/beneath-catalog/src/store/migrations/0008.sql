-- Whether a browser shows a published file or saves it, and what caches may do with it. What was published before is answered as it was.
ALTER TABLE entries ADD COLUMN disposition TEXT NOT NULL DEFAULT 'attachment' CHECK (disposition IN ('attachment', 'inline'));
ALTER TABLE entries ADD COLUMN caching TEXT NOT NULL DEFAULT 'no-store' CHECK (caching IN ('no-store', 'revalidate'));
