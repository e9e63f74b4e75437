-- Who may have which file. Times are milliseconds since 1970; a NULL expiry means "until revoked".
-- SQLite's AUTOINCREMENT is used where a number must never mean somebody else later.

-- The date of everything: one row for each change, its revision, and what it touched. Triggers write it, so that no
-- program that writes to this file can forget to.
CREATE TABLE changes (
  revision INTEGER PRIMARY KEY,
  scope TEXT NOT NULL CHECK (scope IN ('all', 'user', 'entry', 'token', 'link')),
  object INTEGER
) STRICT;
INSERT INTO changes (revision, scope) VALUES (1, 'all');

-- Users and groups share their numbers, so that a grant names either by one column.
CREATE TABLE subjects (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('user', 'group'))
) STRICT;

CREATE TABLE users (
  id INTEGER PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
  name TEXT NOT NULL UNIQUE,
  uniqueness TEXT NOT NULL UNIQUE,              -- the name without letter case
  role TEXT NOT NULL CHECK (role IN ('reader', 'publisher', 'admin')),
  enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  password TEXT NOT NULL,                       -- a password record, never a password
  epoch INTEGER NOT NULL,                       -- grows when the password is changed (not when it is re-hashed)
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE groups (
  id INTEGER PRIMARY KEY REFERENCES subjects (id) ON DELETE CASCADE,
  name TEXT NOT NULL UNIQUE,
  uniqueness TEXT NOT NULL UNIQUE,
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE members (
  user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  "group" INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  PRIMARY KEY (user, "group")
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_group ON members ("group", user);

CREATE TABLE entries (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  root TEXT NOT NULL,
  path BLOB NOT NULL,
  owner INTEGER REFERENCES users (id) ON DELETE RESTRICT,   -- NULL: the operator
  name BLOB NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
  media_type TEXT,
  size INTEGER NOT NULL,
  pin TEXT NOT NULL CHECK (pin IN ('path', 'identity', 'content')),
  fingerprint BLOB,                             -- which file (identity) or which state of it (content) it was
  digest BLOB CHECK (length(digest) = 32),      -- SHA-256, for a pin by content
  created INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,           -- grows with each change of this row or its grants
  CHECK ((pin = 'path') = (fingerprint IS NULL)),
  CHECK ((pin = 'content') = (digest IS NOT NULL))
) STRICT;
CREATE INDEX entries_by_owner ON entries (owner, seq);
CREATE INDEX entries_by_path ON entries (root, path);

CREATE TABLE grants (
  entry INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
  subject INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
  expires INTEGER,
  created INTEGER NOT NULL,
  PRIMARY KEY (entry, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_subject ON grants (subject, entry);

CREATE TABLE tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_by_user ON tokens (user);

CREATE TABLE links (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  entry INTEGER NOT NULL REFERENCES entries (seq) ON DELETE CASCADE,
  creator INTEGER REFERENCES users (id) ON DELETE CASCADE,  -- NULL: the operator
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  uses INTEGER NOT NULL CHECK (uses > 0)
) STRICT;
CREATE INDEX links_by_entry ON links (entry);
CREATE INDEX links_by_creator ON links (creator);

-- One client's use of a link: taken when its download starts, so that of two last uses one wins; completed when all
-- bytes were sent; given back when it was neither completed nor resumed until then.
CREATE TABLE link_uses (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  link INTEGER NOT NULL REFERENCES links (id) ON DELETE CASCADE,
  client BLOB NOT NULL,
  completed INTEGER NOT NULL DEFAULT 0 CHECK (completed IN (0, 1)),   -- a use that counts
  sent INTEGER NOT NULL DEFAULT 0,              -- bytes, over all its requests
  running INTEGER NOT NULL DEFAULT 0 CHECK (running >= 0),
  until INTEGER NOT NULL                        -- it may resume, and nobody else take this use
) STRICT;
CREATE INDEX link_uses_by_link ON link_uses (link, client);

-- Who serves from this catalog, and how far each has taken note of changes. A row may outlive its process; the next
-- change that waits for it in vain removes it.
CREATE TABLE servers (
  id BLOB PRIMARY KEY CHECK (length(id) = 16),
  acknowledged INTEGER NOT NULL,
  bound INTEGER NOT NULL                        -- its revocation bound, in milliseconds
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
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
CREATE INDEX audit_by_time ON audit (at);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE (ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE (ABORT, 'the audit trail is append-only'); END;

CREATE TRIGGER users_added AFTER INSERT ON users BEGIN INSERT INTO changes (scope, object) VALUES ('user', new.id); END;
CREATE TRIGGER users_changed AFTER UPDATE ON users BEGIN INSERT INTO changes (scope, object) VALUES ('user', old.id); END;
CREATE TRIGGER users_removed AFTER DELETE ON users BEGIN INSERT INTO changes (scope, object) VALUES ('user', old.id); END;
CREATE TRIGGER groups_added AFTER INSERT ON groups BEGIN INSERT INTO changes (scope) VALUES ('all'); END;
CREATE TRIGGER groups_changed AFTER UPDATE ON groups BEGIN INSERT INTO changes (scope) VALUES ('all'); END;
CREATE TRIGGER groups_removed AFTER DELETE ON groups BEGIN INSERT INTO changes (scope) VALUES ('all'); END;
CREATE TRIGGER members_joined AFTER INSERT ON members BEGIN INSERT INTO changes (scope, object) VALUES ('user', new.user); END;
CREATE TRIGGER members_changed AFTER UPDATE ON members BEGIN INSERT INTO changes (scope) VALUES ('all'); END;
CREATE TRIGGER members_left AFTER DELETE ON members BEGIN INSERT INTO changes (scope, object) VALUES ('user', old.user); END;
CREATE TRIGGER entries_added AFTER INSERT ON entries BEGIN INSERT INTO changes (scope, object) VALUES ('entry', new.seq); END;
CREATE TRIGGER entries_changed AFTER UPDATE ON entries BEGIN INSERT INTO changes (scope, object) VALUES ('entry', old.seq); END;
CREATE TRIGGER entries_removed AFTER DELETE ON entries BEGIN INSERT INTO changes (scope, object) VALUES ('entry', old.seq); END;
CREATE TRIGGER entries_keep_their_identity BEFORE UPDATE OF seq, id, root, path, owner, created ON entries
  BEGIN SELECT RAISE (ABORT, 'ID, owner and place of a published file do not change'); END;
CREATE TRIGGER grants_added AFTER INSERT ON grants BEGIN INSERT INTO changes (scope, object) VALUES ('entry', new.entry); END;
CREATE TRIGGER grants_changed AFTER UPDATE ON grants BEGIN INSERT INTO changes (scope) VALUES ('all'); END;
CREATE TRIGGER grants_removed AFTER DELETE ON grants BEGIN INSERT INTO changes (scope, object) VALUES ('entry', old.entry); END;
CREATE TRIGGER tokens_changed AFTER UPDATE ON tokens BEGIN INSERT INTO changes (scope, object) VALUES ('token', old.id); END;
CREATE TRIGGER tokens_removed AFTER DELETE ON tokens BEGIN INSERT INTO changes (scope, object) VALUES ('token', old.id); END;
CREATE TRIGGER links_changed AFTER UPDATE OF expires, entry, creator, digest, uses ON links BEGIN INSERT INTO changes (scope, object) VALUES ('link', old.id); END;
CREATE TRIGGER links_removed AFTER DELETE ON links BEGIN INSERT INTO changes (scope, object) VALUES ('link', old.id); END;
