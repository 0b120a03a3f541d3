CREATE TABLE IF NOT EXISTS messages (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,
  id           TEXT NOT NULL,
  subject      TEXT NOT NULL,
  traceparent  TEXT,
  tracestate   TEXT,
  payload      BLOB NOT NULL,
  published_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_id ON messages (id);
CREATE INDEX IF NOT EXISTS messages_by_age ON messages (published_at);

-- Every message up to a consumer's position is settled by it or stands in pending.
CREATE TABLE IF NOT EXISTS consumers (
  name     TEXT PRIMARY KEY,
  position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consumer_subjects (
  subject  TEXT NOT NULL,
  consumer TEXT NOT NULL REFERENCES consumers (name),
  PRIMARY KEY (subject, consumer)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS pending (
  consumer   TEXT NOT NULL REFERENCES consumers (name),
  seq        INTEGER NOT NULL REFERENCES messages (seq),
  count      INTEGER NOT NULL,
  due_at     INTEGER NOT NULL,
  -- 1 while someone holds it; after a restart nobody does.
  handed_out INTEGER NOT NULL,
  PRIMARY KEY (consumer, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_by_due ON pending (consumer, due_at);
CREATE INDEX IF NOT EXISTS pending_by_seq ON pending (seq);

CREATE TABLE IF NOT EXISTS dead_letters (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          TEXT NOT NULL,
  subject     TEXT NOT NULL,
  traceparent TEXT,
  tracestate  TEXT,
  payload     BLOB NOT NULL,
  consumer    TEXT NOT NULL,
  reason      TEXT NOT NULL,
  buried_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS dead_letters_by_id ON dead_letters (id);
