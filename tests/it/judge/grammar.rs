//! Random statements: templates of both dialects, with names, texts, quotes, comments and capitals at random.
//!
//! In a template `@t` is a table, `@n` perhaps a new one, `@d` a database, `@c` a column, `@i` an index, `@x` a text, `@k` a number;
//! `@alter` is a list of clauses. Words are separated by spaces; between any two of them a comment may come.

use crate::harness::rng::Rng;

pub struct Mode {
    pub mariadb: bool,
    pub ansi_quotes: bool,
    pub no_backslash_escapes: bool,
    /// `[x]` is a name.
    pub brackets: bool,
    /// What is a space, beside the usual ones.
    pub space: &'static str,
}

const STATEMENTS: &[&str] = &[
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t @alter",
    "ALTER TABLE @t COMMENT @x , RENAME TO @n",
    "ALTER TABLE @t COMMENT @x , COMMENT @x , RENAME @n",
    "ALTER TABLE @t COMMENT @x , DROP a , COMMENT @x",
    "ALTER TABLE p COMMENT @x , RENAME TO 誠",
    "DROP TABLE 表チ , `誠乣`",
    "RENAME TABLE 表チ TO `チ` , `誠乣` TO ソ",
    "TRUNCATE `表チ`",
    "ALTER TABLE p @partition",
    "ALTER TABLE p @partition",
    "ALTER TABLE h @hash",
    "TRUNCATE @t",
    "TRUNCATE TABLE @t",
    "DROP TABLE @t",
    "DROP TABLE IF EXISTS @t , @t",
    "DROP TABLES @t , @n",
    "DROP TEMPORARY TABLE IF EXISTS @t",
    "RENAME TABLE @t TO @n",
    "RENAME TABLE @t TO swap , @t TO swap2",
    "RENAME TABLE u TO swap , child TO u , swap TO child",
    "CREATE TABLE @n ( id INT PRIMARY KEY , a INT )",
    "CREATE TABLE IF NOT EXISTS @t ( id INT )",
    "CREATE TABLE @n LIKE @t",
    "CREATE TABLE @n AS SELECT id , a FROM @t",
    "CREATE TABLE @n ( x INT ) SELECT 1 AS y",
    "CREATE TEMPORARY TABLE @t ( id INT )",
    "CREATE INDEX @i ON @t ( @c )",
    "CREATE UNIQUE INDEX @i ON @t ( id ) COMMENT @x ALGORITHM = INPLACE",
    "CREATE FULLTEXT INDEX @i ON @t ( b )",
    "CREATE INDEX @i USING BTREE ON @t ( a , id ) LOCK = SHARED",
    "DROP INDEX @i ON @t",
    "DROP INDEX ib ON t ALGORITHM = COPY",
    "DROP INDEX `PRIMARY` ON @t",
    "OPTIMIZE TABLE @t , @t",
    "ANALYZE TABLE @t",
    "REPAIR TABLE m",
    "CHECK TABLE @t",
    "CREATE VIEW @n AS SELECT * FROM @t",
    "CREATE OR REPLACE VIEW w AS SELECT id FROM @t",
    "ALTER VIEW w AS SELECT a FROM @t",
    "DROP VIEW IF EXISTS w",
    "CREATE PROCEDURE pr ( ) START TRANSACTION",
    "CREATE PROCEDURE pr ( ) BEGIN TRUNCATE @t ; DROP TABLE @t ; END",
    "CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DISABLE DO DROP TABLE @t",
    "CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DISABLE COMMENT @x DO START TRANSACTION",
    "CREATE TRIGGER tr BEFORE INSERT ON @t FOR EACH ROW SET @ a = 1",
    "CREATE FUNCTION fu ( ) RETURNS INT DETERMINISTIC RETURN 1",
    "ALTER DATABASE @d CHARACTER SET latin1",
    "DROP DATABASE other",
    "CREATE DATABASE fresh",
    "GRANT SELECT ON @t TO CURRENT_USER",
    "FLUSH TABLES @t",
    "INSERT INTO @t ( id ) VALUES ( @k )",
    "UPDATE @t SET a = 77 WHERE id = 1",
    "DELETE FROM @t WHERE id = 1",
    "REPLACE INTO @t ( id , a ) VALUES ( 1 , 2 )",
    "INSERT INTO @t ( id , a ) SELECT id + 50 , a FROM @t",
];

const OF_MARIADB: &[&str] = &[
    "SET STATEMENT max_statement_time = 100 FOR TRUNCATE @t",
    "SET STATEMENT max_statement_time = ( SELECT 10 ) , sql_mode = @mode FOR ALTER TABLE @t @alter",
    "SET STATEMENT max_statement_time = 100 FOR RENAME TABLE @t TO @n",
    "SET STATEMENT max_statement_time = 100 FOR ALTER TABLE p @partition",
    "SET STATEMENT max_statement_time = 100 FOR DROP TABLE @t , @t",
    "SET STATEMENT max_statement_time = 100 FOR DELETE FROM @t",
    "ALTER IGNORE TABLE @t @alter",
    "ALTER IGNORE TABLE u ADD UNIQUE ( a )",
    "ALTER ONLINE TABLE @t @alter",
    "ALTER TABLE IF EXISTS @t WAIT 5 @alter",
    "ALTER TABLE p CONVERT PARTITION p1 TO TABLE @n",
    "ALTER TABLE p CONVERT TABLE u TO PARTITION p9 VALUES LESS THAN ( 90 )",
    "ALTER TABLE sv @alter",
    "ALTER TABLE sv @alter",
    "ALTER TABLE sv DROP SYSTEM VERSIONING",
    "ALTER TABLE @t ADD SYSTEM VERSIONING",
    "ALTER TABLE sv PARTITION BY SYSTEM_TIME ( PARTITION x HISTORY , PARTITION y CURRENT )",
    "CREATE OR REPLACE TABLE @t ( id INT )",
    "CREATE OR REPLACE TABLE @t LIKE u",
    "CREATE OR REPLACE TABLE @n SELECT * FROM u",
    "CREATE OR REPLACE SEQUENCE @t",
    "CREATE OR REPLACE DATABASE other",
    "CREATE OR REPLACE TEMPORARY TABLE @t ( id INT )",
    "CREATE INDEX IF NOT EXISTS @i ON @t ( a )",
    "CREATE OR REPLACE INDEX ib ON t ( a )",
    "ALTER SEQUENCE sq RESTART 7",
    "DROP SEQUENCE sq",
    "RENAME TABLE IF EXISTS @t WAIT 3 TO @n , u NOWAIT TO swap",
    "TRUNCATE TABLE @t WAIT 3",
    "DROP TABLE IF EXISTS @t NOWAIT CASCADE",
    "EXECUTE IMMEDIATE 'TRUNCATE u'",
    "ANALYZE UPDATE @t SET a = 3",
    "ANALYZE FORMAT = JSON DELETE FROM @t",
];

const CLAUSES: &[&str] = &[
    "ADD INDEX @i ( @c )",
    "ADD KEY ( @c ) COMMENT @x",
    "ADD UNIQUE ( id , a )",
    "ADD UNIQUE KEY @i USING BTREE ( a )",
    "ADD CONSTRAINT UNIQUE INDEX @i ( id )",
    "ADD CONSTRAINT @i FOREIGN KEY ( a ) REFERENCES parent ( id ) ON DELETE SET NULL",
    "ADD FOREIGN KEY ( id ) REFERENCES crm . parent ( id )",
    "ADD CONSTRAINT c1 CHECK ( a < 1000 )",
    "ADD CHECK ( a is null or a > 0 )",
    "ADD FULLTEXT KEY @i ( b )",
    "ADD PRIMARY KEY ( a )",
    "ADD COLUMN z INT",
    "ADD z INT DEFAULT 7 FIRST",
    "ADD ( z INT , y VARCHAR ( 3 ) )",
    "ADD z DOUBLE AS ( id / 7 ) STORED",
    "DROP INDEX @i",
    "DROP KEY ib",
    "DROP KEY ua",
    "DROP FOREIGN KEY fk",
    "DROP CONSTRAINT ck",
    "DROP PRIMARY KEY",
    "DROP COLUMN @c",
    "DROP @c",
    "DROP a , ADD a INT DEFAULT 7",
    "RENAME INDEX ib TO ib2",
    "RENAME KEY ua TO ub",
    "RENAME COLUMN @c TO zz",
    "RENAME TO @n",
    "RENAME AS @n",
    "RENAME @n",
    "RENAME = @n",
    "ALTER a SET DEFAULT 5",
    "ALTER COLUMN a SET DEFAULT ( 1 + 2 )",
    "ALTER COLUMN a DROP DEFAULT",
    "ALTER b SET DEFAULT @x",
    "MODIFY a BIGINT",
    "MODIFY a INT NOT NULL",
    "MODIFY a TINYINT UNSIGNED",
    "MODIFY b VARCHAR ( 1 )",
    "MODIFY b VARCHAR ( 20 ) CHARACTER SET utf8mb4",
    "MODIFY c DATE",
    "MODIFY e ENUM ( 'y' , 'x' )",
    "MODIFY s DOUBLE AS ( a / 9 ) STORED",
    "MODIFY v INT AS ( a + 2 ) VIRTUAL",
    "MODIFY id INT AUTO_INCREMENT",
    "CHANGE a aa INT NOT NULL COMMENT @x",
    "CHANGE COLUMN a a VARCHAR ( 10 )",
    "CONVERT TO CHARACTER SET utf8mb4",
    "CONVERT TO CHARACTER SET ascii",
    "DEFAULT CHARACTER SET = utf8mb4",
    "CHARSET latin1",
    "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "DEFAULT COLLATE latin1_bin",
    "COMMENT @x",
    "COMMENT = @x",
    "COMMENT = @x , RENAME TO @n",
    "COMMENT @x AUTO_INCREMENT 100",
    "AUTO_INCREMENT = 1",
    "AVG_ROW_LENGTH = 10",
    "CHECKSUM = 1",
    "DELAY_KEY_WRITE = 1",
    "MAX_ROWS = 2",
    "MIN_ROWS 1",
    "PACK_KEYS = 1",
    "ROW_FORMAT = COMPACT",
    "ROW_FORMAT REDUNDANT",
    "ROW_FORMAT = COMPRESSED KEY_BLOCK_SIZE = 4",
    "STATS_PERSISTENT = 0",
    "STATS_AUTO_RECALC = 1",
    "STATS_SAMPLE_PAGES = 7",
    "ENABLE KEYS",
    "DISABLE KEYS",
    "FORCE",
    "ENGINE = InnoDB",
    "ENGINE = MyISAM",
    "ENGINE = MEMORY",
    "ORDER BY a",
    "ALGORITHM = COPY",
    "ALGORITHM INPLACE",
    "ALGORITHM = DEFAULT",
    "LOCK = SHARED",
    "INSERT_METHOD = NO",
    "PARTITION BY HASH ( id ) PARTITIONS 2",
    "REMOVE PARTITIONING",
    "DISCARD TABLESPACE",
    "ALTER a SET DEFAULT 1 PARTITION BY KEY ( id )",
];

const CLAUSES_OF_MYSQL: &[&str] = &[
    "ALTER INDEX ib INVISIBLE",
    "ALTER CHECK ck NOT ENFORCED",
    "ALTER CONSTRAINT ck ENFORCED",
    "DROP CHECK ck",
    "ALTER a SET INVISIBLE",
    "ADD INDEX @i ( ( a + 1 ) )",
    "ADD KEY @i ( a ) INVISIBLE",
    "WITHOUT VALIDATION , ADD z INT",
    "SECONDARY_ENGINE_ATTRIBUTE = ''",
    "ALGORITHM = INSTANT",
];

const CLAUSES_OF_MARIADB: &[&str] = &[
    "ALTER INDEX ib IGNORED",
    "ADD INDEX IF NOT EXISTS @i ( a )",
    "ADD CONSTRAINT IF NOT EXISTS ck CHECK ( a > 0 )",
    "ADD FOREIGN KEY IF NOT EXISTS @i ( a ) REFERENCES parent ( id )",
    "DROP COLUMN IF EXISTS z",
    "DROP INDEX IF EXISTS ib",
    "DROP CONSTRAINT IF EXISTS ck",
    "RENAME COLUMN IF EXISTS a TO zz",
    "ADD PERIOD FOR pp ( d1 , d2 )",
    "ADD SYSTEM VERSIONING",
    "ENGINE = Aria",
    "ALGORITHM = NOCOPY",
    "TRANSACTIONAL = 1",
    "PAGE_CHECKSUM = 1",
    "ADD UNIQUE ( b )",
    "ADD vector INT",
    "ADD period INT",
];

const PARTITIONS: &[&str] = &[
    "ADD PARTITION ( PARTITION p3 VALUES LESS THAN ( 40 ) )",
    "ADD PARTITION ( PARTITION p3 VALUES LESS THAN MAXVALUE COMMENT @x )",
    "DROP PARTITION p1",
    "DROP PARTITION p0 , p2",
    "TRUNCATE PARTITION p1",
    "TRUNCATE PARTITION ALL",
    "EXCHANGE PARTITION p0 WITH TABLE u",
    "EXCHANGE PARTITION p0 WITH TABLE u WITHOUT VALIDATION",
    "EXCHANGE PARTITION p1 WITH TABLE other . u WITHOUT VALIDATION",
    "REORGANIZE PARTITION p0 , p1 INTO ( PARTITION q VALUES LESS THAN ( 20 ) )",
    "REBUILD PARTITION p0 , p1",
    "OPTIMIZE PARTITION p0",
    "ANALYZE PARTITION ALL",
    "CHECK PARTITION p0 , p1",
    "REPAIR PARTITION p0",
    "REMOVE PARTITIONING",
    "DISCARD PARTITION p0 TABLESPACE",
    "ADD INDEX @i ( a )",
    "COMMENT @x",
];

const HASHES: &[&str] = &[
    "ADD PARTITION PARTITIONS 2",
    "COALESCE PARTITION 1",
    "REBUILD PARTITION ALL",
    "TRUNCATE PARTITION p0",
    "REMOVE PARTITIONING",
    "ADD UNIQUE ( id )",
    "COMMENT = @x",
];

pub const TABLES: &[&str] = &[
    "t", "t", "t", "u", "u", "p", "h", "parent", "child", "m", "m", "k", "k", "t_ö", "表チ", "誠乣", "a`b\\", "OTHER",
];
const NEW_TABLES: &[&str] = &["new1", "new2", "u", "t", "新"];
const COLUMNS: &[&str] = &["a", "a", "b", "id", "c", "e", "v", "s"];
const INDEXES: &[&str] = &["ix", "iy", "ib", "ua", "PARTITION1"];
const TEXTS: &[&str] = &[
    "plain",
    "",
    "it's",
    "C:\\",
    "C:\\', RENAME TO u",
    "\\' , DROP PARTITION p1 -- ",
    "say \"x\"",
    "/* no comment",
    "*/ ; TRUNCATE u",
    "表",
    "誠",
    "ソ',チ",
    "`u`",
];
const COMMENTS: &[&str] = &[
    "/* x */",
    "/**/",
    "-- it's\n",
    "# `\n",
    "/* \" ' ` */",
    "\t",
    "\n",
    "\u{b}",
    "/*!99999 RENAME TO z */",
    "--\t\n",
];

pub struct Grammar<'a> {
    pub rng: &'a mut Rng,
    pub mode: Mode,
}

impl Grammar<'_> {
    /// In UTF-8.
    pub fn statement(&mut self) -> String {
        let own: &[&str] = if self.mode.mariadb { OF_MARIADB } else { &[] };
        let at = if self.rng.one_in(3) { 0 } else { self.rng.below(STATEMENTS.len() + own.len()) };
        let template = STATEMENTS.iter().chain(own).nth(at).expect("it is below");
        let template = self.expand(template);
        self.render(&template)
    }

    fn expand(&mut self, template: &str) -> String {
        let template = template.replace("@partition", "@P").replace("@hash", "@H");
        let partition = self.rng.pick(PARTITIONS);
        let hash = self.rng.pick(HASHES);
        let clauses = (0..1 + self.rng.below(5) / 2).map(|_| self.clause()).collect::<Vec<_>>().join(" , ");
        template.replace("@P", partition).replace("@H", hash).replace("@alter", &clauses)
    }

    fn clause(&mut self) -> &'static str {
        let own = if self.mode.mariadb { CLAUSES_OF_MARIADB } else { CLAUSES_OF_MYSQL };
        let at = self.rng.below(CLAUSES.len() + own.len());
        CLAUSES.iter().chain(own).nth(at).expect("it is below")
    }

    fn render(&mut self, template: &str) -> String {
        let noisy = self.rng.one_in(3);
        let versioned = self.rng.one_in(6).then(|| 1 + self.rng.below(6));
        let words: Vec<&str> = template.split(' ').collect();
        let mut open = false;
        let mut out = String::new();
        for (index, word) in words.iter().enumerate() {
            if index > 0 {
                out.push_str(if self.rng.one_in(8) { self.mode.space } else { " " });
                if noisy && self.rng.one_in(4) {
                    out.push_str(self.rng.pick(COMMENTS));
                    out.push(' ');
                }
                if versioned == Some(index) {
                    out.push_str(self.rng.pick(&[
                        "/*!50100 ",
                        "/*! ",
                        "/*!40000 ",
                        if self.mode.mariadb { "/*M!100100 " } else { "/*!080000 " },
                    ]));
                    open = true;
                }
            }
            let word = self.word(word);
            out.push_str(&word);
            if open && self.rng.one_in(3) {
                out.push_str(" */");
                open = false;
            }
        }
        if open {
            out.push_str(" */");
        }
        if self.rng.one_in(10) {
            out.push(';');
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        match word {
            "@t" => self.table(),
            "@n" => {
                let name = self.rng.pick(NEW_TABLES);
                self.name(name)
            }
            "@d" => {
                let name = self.rng.pick(&["crm", "other"]);
                self.name(name)
            }
            "@c" => {
                let name = self.rng.pick(COLUMNS);
                self.name(name)
            }
            "@i" => {
                let name = self.rng.pick(INDEXES);
                self.name(name)
            }
            "@x" => {
                let text = self.rng.pick(TEXTS);
                self.text(text)
            }
            "@mode" => self.rng.pick(&["'ANSI_QUOTES'", "''", "'NO_BACKSLASH_ESCAPES'"]).to_owned(),
            "@k" => self.rng.below(100).to_string(),
            word if word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && self.rng.one_in(3) => {
                word.to_lowercase()
            }
            word => word.to_owned(),
        }
    }

    fn table(&mut self) -> String {
        let dot = self.rng.pick(&[".", ".", " . "]);
        match self.rng.pick(TABLES) {
            "OTHER" => {
                let (schema, table) = (self.name("other"), self.rng.pick(&["t", "u"]));
                format!("{schema}{dot}{}", self.name(table))
            }
            table if self.rng.one_in(4) => {
                let schema = self.name("crm");
                format!("{schema}{dot}{}", self.name(table))
            }
            table => self.name(table),
        }
    }

    fn name(&mut self, name: &str) -> String {
        let is_plain = name.chars().all(|character| character.is_alphanumeric() || character == '_');
        match self.rng.below(3) {
            0 if is_plain && name != "PARTITION1" => name.to_owned(),
            2 if self.mode.brackets => format!("[{}]", name.replace(']', "]]")),
            1 if self.mode.ansi_quotes => format!("\"{name}\""),
            _ => format!("`{}`", name.replace('`', "``")),
        }
    }

    fn text(&mut self, text: &str) -> String {
        let quote = if !self.mode.ansi_quotes && self.rng.one_in(3) { '"' } else { '\'' };
        let mut out = String::from(quote);
        for character in text.chars() {
            match character {
                '\\' if !self.mode.no_backslash_escapes => out.push_str("\\\\"),
                character if character == quote => {
                    out.push(if self.mode.no_backslash_escapes || self.rng.one_in(2) { quote } else { '\\' });
                    out.push(quote);
                }
                character => out.push(character),
            }
        }
        out.push(quote);
        out
    }
}
