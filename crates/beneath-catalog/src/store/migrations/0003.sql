-- One client's use of a link. Held from the first transfer that is more than a look; completed when all bytes were sent;
-- given back when it is neither completed, nor under way, nor may be resumed any more.
ALTER TABLE link_uses RENAME TO old_link_uses;
CREATE TABLE link_uses (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  link INTEGER NOT NULL REFERENCES links (id) ON DELETE CASCADE,
  client BLOB NOT NULL CHECK (length(client) = 32),                   -- a digest
  held INTEGER NOT NULL CHECK (held IN (0, 1)),
  completed INTEGER NOT NULL DEFAULT 0 CHECK (completed IN (0, 1)),   -- a use that counts
  budget INTEGER NOT NULL CHECK (budget >= 0),                        -- bytes that may still be asked for over it
  covered BLOB NOT NULL DEFAULT x'',                                  -- which bytes were sent
  until INTEGER NOT NULL                                              -- it may be resumed, and nobody else take it
) STRICT;
INSERT INTO link_uses (link, client, held, completed, budget, until)
  SELECT link, client, 1, 1, 0, until FROM old_link_uses WHERE completed;
DROP TABLE old_link_uses;
CREATE INDEX link_uses_by_link ON link_uses (link, client);

-- What is being sent over a use now, by whom. Rows of a server that died stay, for whoever resumes.
CREATE TABLE link_transfers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  of INTEGER NOT NULL REFERENCES link_uses (id) ON DELETE CASCADE,
  server BLOB NOT NULL,
  first INTEGER NOT NULL,                       -- the bytes that were to be sent, from `first` to before `last`
  last INTEGER NOT NULL,
  size INTEGER NOT NULL,                        -- of the file
  resumed INTEGER,                              -- where its client went on in another transfer, which says how far it came
  deadline INTEGER NOT NULL,                    -- under way until then, unless the server says so again
  grace INTEGER NOT NULL                        -- for how long its use is kept after that
) STRICT;
CREATE INDEX link_transfers_by_use ON link_transfers (of);
CREATE INDEX link_transfers_by_server ON link_transfers (server);
