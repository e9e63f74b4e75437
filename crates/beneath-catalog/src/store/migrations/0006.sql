-- INSERT OR REPLACE removes what is in its way without any trigger's being asked: it would rewrite the audit trail, and take rights
-- away of which no change tells. So nothing is in its way. (Of grants and members, what is inserted tells.)
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = new.id)
  BEGIN SELECT RAISE (ABORT, 'the audit trail is append-only'); END;
CREATE TRIGGER audit_horizon_is_not_replaced BEFORE INSERT ON audit_horizon WHEN EXISTS (SELECT 1 FROM audit_horizon)
  BEGIN SELECT RAISE (ABORT, 'the horizon of the audit trail only advances'); END;
CREATE TRIGGER subjects_are_not_replaced BEFORE INSERT ON subjects WHEN EXISTS (SELECT 1 FROM subjects WHERE id = new.id)
  BEGIN SELECT RAISE (ABORT, 'subjects are changed or deleted, not replaced'); END;
CREATE TRIGGER users_are_not_replaced BEFORE INSERT ON users WHEN EXISTS (SELECT 1 FROM users WHERE id = new.id OR name = new.name OR uniqueness = new.uniqueness)
  BEGIN SELECT RAISE (ABORT, 'users are changed or deleted, not replaced'); END;
CREATE TRIGGER groups_are_not_replaced BEFORE INSERT ON groups WHEN EXISTS (SELECT 1 FROM groups WHERE id = new.id OR name = new.name OR uniqueness = new.uniqueness)
  BEGIN SELECT RAISE (ABORT, 'groups are changed or deleted, not replaced'); END;
CREATE TRIGGER entries_are_not_replaced BEFORE INSERT ON entries WHEN EXISTS (SELECT 1 FROM entries WHERE seq = new.seq OR id = new.id)
  BEGIN SELECT RAISE (ABORT, 'entries are changed or deleted, not replaced'); END;
CREATE TRIGGER tokens_are_not_replaced BEFORE INSERT ON tokens WHEN EXISTS (SELECT 1 FROM tokens WHERE id = new.id OR digest = new.digest)
  BEGIN SELECT RAISE (ABORT, 'tokens are changed or deleted, not replaced'); END;
CREATE TRIGGER links_are_not_replaced BEFORE INSERT ON links WHEN EXISTS (SELECT 1 FROM links WHERE id = new.id OR digest = new.digest)
  BEGIN SELECT RAISE (ABORT, 'links are changed or deleted, not replaced'); END;
