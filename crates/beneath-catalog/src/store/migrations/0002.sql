-- Without AUTOINCREMENT, which costs each insert a second table: the newest record stays, so no number comes twice.
ALTER TABLE audit RENAME TO audit_before;
DROP INDEX audit_by_time;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  event TEXT NOT NULL,
  object TEXT NOT NULL,
  revision INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT,
  bytes INTEGER,
  address TEXT
) STRICT;
INSERT INTO audit SELECT * FROM audit_before ORDER BY id;
DROP TABLE audit_before;
CREATE INDEX audit_by_time ON audit (at);

-- The audit trail is kept for a time and to a size, not for ever: what lies behind the horizon may be removed, and the
-- horizon only moves forward, never over the newest record.
CREATE TABLE audit_horizon (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id INTEGER NOT NULL
) STRICT;
INSERT INTO audit_horizon VALUES (1, 0);
CREATE TRIGGER audit_horizon_advances BEFORE UPDATE ON audit_horizon
  WHEN new.id < old.id OR new.id >= (SELECT max(id) FROM audit)
  BEGIN SELECT RAISE (ABORT, 'the horizon of the audit trail only advances, and not over its newest record'); END;
CREATE TRIGGER audit_horizon_stays BEFORE DELETE ON audit_horizon
  BEGIN SELECT RAISE (ABORT, 'the audit trail has a horizon'); END;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
  BEGIN SELECT RAISE (ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit WHEN old.id > (SELECT id FROM audit_horizon)
  BEGIN SELECT RAISE (ABORT, 'the audit trail is append-only'); END;

-- A change touches what it changes. A group has members and grants, whose own triggers say whom it concerns; itself it
-- concerns nobody, and gets a date like any change: its number is no user's.
DROP TRIGGER groups_added;
DROP TRIGGER groups_changed;
DROP TRIGGER groups_removed;
CREATE TRIGGER groups_added AFTER INSERT ON groups BEGIN INSERT INTO changes (scope, object) VALUES ('user', new.id); END;
CREATE TRIGGER groups_changed AFTER UPDATE ON groups BEGIN INSERT INTO changes (scope, object) VALUES ('user', old.id); END;
CREATE TRIGGER groups_removed AFTER DELETE ON groups BEGIN INSERT INTO changes (scope, object) VALUES ('user', old.id); END;
DROP TRIGGER members_changed;
CREATE TRIGGER members_changed AFTER UPDATE ON members BEGIN
  INSERT INTO changes (scope, object) VALUES ('user', old.user);
  INSERT INTO changes (scope, object) VALUES ('user', new.user);
END;
DROP TRIGGER grants_changed;
CREATE TRIGGER grants_changed AFTER UPDATE ON grants BEGIN
  INSERT INTO changes (scope, object) VALUES ('entry', old.entry);
  INSERT INTO changes (scope, object) VALUES ('entry', new.entry);
END;
