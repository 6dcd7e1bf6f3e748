-- A journal as the agent with schema 1 wrote it.
PRAGMA user_version=1;
PRAGMA application_id=1161906737;
BEGIN TRANSACTION;
CREATE TABLE camera (
  part_seq INTEGER NOT NULL REFERENCES part (part_seq),
  camera INTEGER NOT NULL,
  outcome TEXT CHECK (outcome IN ('OK', 'REVIEW', 'NG')),
  reason TEXT,
  detail TEXT NOT NULL,
  score CHECK (typeof(score) IN ('real', 'null')),
  score_limit CHECK (typeof(score_limit) IN ('real', 'null')),
  bundle_id TEXT,
  image_sha256 TEXT NOT NULL,
  image_name TEXT NOT NULL,
  align_quality CHECK (typeof(align_quality) IN ('real', 'null')),
  align_shift_x_px CHECK (typeof(align_shift_x_px) IN ('real', 'null')),
  align_shift_y_px CHECK (typeof(align_shift_y_px) IN ('real', 'null')),
  align_angle_deg CHECK (typeof(align_angle_deg) IN ('real', 'null')),
  align_gain CHECK (typeof(align_gain) IN ('real', 'null')),
  align_offset CHECK (typeof(align_offset) IN ('real', 'null')),
  timings_ms TEXT NOT NULL,
  PRIMARY KEY (part_seq, camera)
) WITHOUT ROWID;
INSERT INTO "camera" VALUES(1,1,'OK','OK','',0.1,1.5,'bundle','abababababababababababababababababababababababababababababababab','CAM1_7.bmp',0.99,1.5,-2.5,0.125,1.0,-3.0,'{"decode": 1.25}');
INSERT INTO "camera" VALUES(2,2,NULL,'IMAGE_BROKEN','cut',NULL,NULL,NULL,'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd','CAM2_8.bmp',NULL,NULL,NULL,NULL,NULL,NULL,'{}');
CREATE TABLE event (
  event_id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind <> ''),
  detail TEXT NOT NULL,
  at_mono_s NOT NULL CHECK (typeof(at_mono_s) = 'real'),
  at_utc TEXT NOT NULL
);
INSERT INTO "event" VALUES(1,'START','the agent is up',18388.288828308,'2026-11-24T04:18:30.052+00:00');
CREATE TABLE part (
  part_seq INTEGER PRIMARY KEY CHECK (part_seq >= 1),
  controller_count INTEGER,
  session TEXT NOT NULL,
  program INTEGER,
  verdict TEXT NOT NULL CHECK (verdict IN ('PASS', 'REJECT', 'FAULT')),
  reason TEXT NOT NULL CHECK (reason <> '' AND (verdict <> 'PASS' OR reason = 'OK')),
  detail TEXT NOT NULL,
  score CHECK (typeof(score) IN ('real', 'null')),
  score_limit CHECK (typeof(score_limit) IN ('real', 'null')),
  bundle_id TEXT,
  controller_judgement TEXT CHECK (controller_judgement IN ('OK', 'NG')),
  simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
  first_sign_mono_s NOT NULL CHECK (typeof(first_sign_mono_s) = 'real'),
  decided_mono_s NOT NULL CHECK (typeof(decided_mono_s) = 'real'),
  deadline_mono_s NOT NULL CHECK (typeof(deadline_mono_s) = 'real'),
  boot_id TEXT NOT NULL,
  decided_utc TEXT NOT NULL
);
INSERT INTO "part" VALUES(1,7,'s',3,'PASS','OK','',0.1,1.5,'bundle','OK',0,100.25,100.5,101.0,'boot','2026-11-23T10:00:00.000+00:00');
INSERT INTO "part" VALUES(2,8,'s',3,'REJECT','IMAGE_BROKEN','camera 2: cut',NULL,NULL,NULL,'OK',0,100.25,100.5,101.0,'boot','2026-11-23T10:00:00.000+00:00');
CREATE TABLE probe (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), proofs INTEGER NOT NULL);
INSERT INTO "probe" VALUES(1,1);
CREATE TABLE publication (
  part_seq INTEGER PRIMARY KEY REFERENCES part (part_seq),
  published TEXT NOT NULL CHECK (published IN ('PUBLISHED', 'LATE', 'FAILED', 'WITHHELD')),
  at_mono_s NOT NULL CHECK (typeof(at_mono_s) = 'real'),
  detail TEXT NOT NULL
);
INSERT INTO "publication" VALUES(1,'PUBLISHED',100.6,'');
CREATE INDEX camera_by_image ON camera (image_sha256);
CREATE TRIGGER part_is_not_changed BEFORE UPDATE ON part BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER part_is_not_deleted BEFORE DELETE ON part BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER camera_is_not_changed BEFORE UPDATE ON camera BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER camera_is_not_deleted BEFORE DELETE ON camera BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER publication_is_not_changed BEFORE UPDATE ON publication BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER publication_is_not_deleted BEFORE DELETE ON publication BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER event_is_not_changed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
CREATE TRIGGER event_is_not_deleted BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the journal is written once'); END;
COMMIT;
