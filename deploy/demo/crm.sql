-- A small CRM with a past: accounts that the sales team keeps, with soft deletes and a log that has no key.
CREATE TABLE address (id int AUTO_INCREMENT PRIMARY KEY, street varchar(120), postal_code varchar(20), city varchar(80), country char(2));
CREATE TABLE account (
  id int AUTO_INCREMENT PRIMARY KEY, name varchar(160) NOT NULL, tax_id varchar(40), territory varchar(20) NOT NULL,
  phone varchar(40), billing_address_id int, is_deleted boolean NOT NULL DEFAULT 0,
  created_at datetime NOT NULL DEFAULT CURRENT_TIMESTAMP, FOREIGN KEY (billing_address_id) REFERENCES address (id));
CREATE TABLE contact (
  id int AUTO_INCREMENT PRIMARY KEY, account_id int NOT NULL, first_name varchar(60), last_name varchar(60) NOT NULL,
  email varchar(120), is_deleted boolean NOT NULL DEFAULT 0, FOREIGN KEY (account_id) REFERENCES account (id));
CREATE TABLE opportunity (
  id int AUTO_INCREMENT PRIMARY KEY, account_id int NOT NULL, name varchar(160) NOT NULL,
  phase enum('qualified', 'quoted', 'won', 'lost') NOT NULL DEFAULT 'qualified', amount decimal(12,2), currency char(3) DEFAULT 'EUR',
  FOREIGN KEY (account_id) REFERENCES account (id));
CREATE TABLE activity (note text, happened_at datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3));

INSERT INTO address (street, postal_code, city, country)
  SELECT CONCAT('Hauptstraße ', seq), LPAD(10000 + seq, 5, '0'), ELT(1 + seq % 4, 'Berlin', 'Hamburg', 'Oslo', 'Graz'), 'DE' FROM seq_1_to_5000;
-- Typed by hand, as people do: spaces, another legal form, an old address.
INSERT INTO account (name, tax_id, territory, phone, billing_address_id)
  SELECT CONCAT('Customer  ', seq), CONCAT('de ', 100000000 + seq), ELT(1 + seq % 3, 'DACH', 'Nordics', 'Iberia'), CONCAT('+49 30 ', 100000 + seq), seq
  FROM seq_1_to_5000;
INSERT INTO contact (account_id, first_name, last_name, email)
  SELECT 1 + seq % 5000, 'Kim', CONCAT('Person ', seq), CONCAT('kim', seq, '@example.com') FROM seq_1_to_10000;
INSERT INTO opportunity (account_id, name, phase, amount)
  SELECT 1 + seq % 5000, CONCAT('Deal ', seq), ELT(1 + seq % 4, 'qualified', 'quoted', 'won', 'lost'), seq * 12.5 FROM seq_1_to_10000;
INSERT INTO activity (note) VALUES ('before the time of Tailwater');
