-- A link costs the same after a million downloads: what was completed is a number, and uses that nobody can go on with leave no row.
ALTER TABLE links ADD COLUMN completed INTEGER NOT NULL DEFAULT 0;  -- uses that count
ALTER TABLE links ADD COLUMN lapsed INTEGER NOT NULL DEFAULT 0;     -- bytes that were sent over uses that were given back, without a row
CREATE TRIGGER link_uses_are_counted AFTER UPDATE OF completed ON link_uses WHEN new.completed AND NOT old.completed
  BEGIN UPDATE links SET completed = completed + 1 WHERE id = new.link; END;
UPDATE links SET completed = (SELECT count(*) FROM link_uses WHERE link = links.id AND completed);
CREATE INDEX link_uses_unfinished ON link_uses (link) WHERE held AND NOT completed;
CREATE INDEX link_uses_completed ON link_uses (link, until) WHERE completed;
