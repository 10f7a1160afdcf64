BEGIN TRANSACTION;
CREATE TABLE baselines (
	run VARCHAR NOT NULL,
	scope VARCHAR NOT NULL,
	numbers JSON NOT NULL,
	PRIMARY KEY (run, scope),
	FOREIGN KEY(run) REFERENCES runs (run)
);
INSERT INTO "baselines" VALUES('20261130-130518-hcxkb9','["advertisers", "A-1", "advertiser_campaigns", "C-1"]','[]');
CREATE TABLE learned (
	rate FLOAT NOT NULL,
	at FLOAT NOT NULL
);
CREATE TABLE owners (
	owner VARCHAR NOT NULL,
	host VARCHAR NOT NULL,
	process INTEGER NOT NULL,
	since FLOAT NOT NULL,
	until FLOAT NOT NULL,
	mark VARCHAR NOT NULL,
	alone BOOLEAN NOT NULL,
	PRIMARY KEY (owner)
);
CREATE TABLE paces (
	run VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	PRIMARY KEY (run),
	FOREIGN KEY(run) REFERENCES runs (run)
);
CREATE TABLE rows (
	run VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	sheet INTEGER NOT NULL,
	"row" INTEGER NOT NULL,
	cells JSON NOT NULL,
	action VARCHAR NOT NULL,
	step_run VARCHAR,
	step INTEGER,
	outcome VARCHAR,
	carried BOOLEAN NOT NULL,
	found JSON,
	error VARCHAR NOT NULL,
	fix VARCHAR NOT NULL,
	PRIMARY KEY (run, position),
	FOREIGN KEY(run) REFERENCES runs (run)
);
INSERT INTO "rows" VALUES('20261130-130518-hcxkb9',0,0,2,'["A-1", "C-1", "Radio", "Online: Search"]','create','20261130-130518-hcxkb9',0,NULL,0,NULL,'','');
INSERT INTO "rows" VALUES('20261130-130518-hcxkb9',1,0,3,'["A-1", "C-1", "TV", "Online: Search"]','create','20261130-130518-hcxkb9',1,NULL,0,NULL,'','');
INSERT INTO "rows" VALUES('20261130-130518-hcxkb9',2,0,4,'["A-1", "C-1", "Mail", "Online: Search"]','create','20261130-130518-hcxkb9',2,NULL,0,NULL,'','');
INSERT INTO "rows" VALUES('20261130-130518-hcxkb9',3,0,5,'["A-1", "C-1", "Print", "Online: Search"]','create','20261130-130518-hcxkb9',3,NULL,0,NULL,'','');
INSERT INTO "rows" VALUES('20261130-130518-hcxkb9',4,0,6,'["A-1", "C-1", "Web", "Online: Search"]','create','20261130-130518-hcxkb9',4,NULL,0,NULL,'','');
CREATE TABLE runs (
	run VARCHAR NOT NULL,
	base_url VARCHAR NOT NULL,
	network_id VARCHAR NOT NULL,
	api_version VARCHAR NOT NULL,
	resource VARCHAR NOT NULL,
	source VARCHAR NOT NULL,
	source_path VARCHAR NOT NULL,
	output VARCHAR NOT NULL,
	fingerprint VARCHAR NOT NULL,
	choices JSON NOT NULL,
	sheets JSON NOT NULL,
	titles JSON NOT NULL,
	state VARCHAR NOT NULL,
	started_at FLOAT NOT NULL,
	ended_at FLOAT,
	note VARCHAR NOT NULL,
	workers JSON,
	stopping BOOLEAN DEFAULT 0 NOT NULL,
	PRIMARY KEY (run)
);
INSERT INTO "runs" VALUES('20261130-130518-hcxkb9','{base_url}','1234','2022-08-01','promo_numbers','sheet.csv','sheet.csv','','e1544cee2c745ea791496884929d85b3b6e972a9414ad12d6730191449a16476','{"nested": "merge", "allow_removals": false, "auto_ids": false}','[{"name": "", "resource": "promo_numbers", "headers": ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "description", "media_type"]}]','{"advertisers": {}, "promo_numbers": {"advertiser_id_from_network": "advertiser_id_from_network", "advertiser_campaign_id_from_network": "advertiser_campaign_id_from_network", "description": "description", "media_type": "media_type"}}','running',1.79604391878455495832e+09,NULL,'',NULL,0);
CREATE TABLE steps (
	run VARCHAR NOT NULL,
	step INTEGER NOT NULL,
	resource VARCHAR NOT NULL,
	action VARCHAR NOT NULL,
	verb VARCHAR NOT NULL,
	path JSON NOT NULL,
	body JSON,
	own_id VARCHAR NOT NULL,
	once BOOLEAN NOT NULL,
	phase INTEGER NOT NULL,
	needs INTEGER,
	patch JSON,
	"before" JSON,
	destination JSON NOT NULL,
	identity VARCHAR NOT NULL,
	taken_by VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	attempt INTEGER NOT NULL,
	sent_at FLOAT,
	ended_at FLOAT,
	http_status INTEGER,
	answer JSON,
	error VARCHAR NOT NULL,
	fix VARCHAR NOT NULL,
	owner VARCHAR DEFAULT '' NOT NULL,
	PRIMARY KEY (run, step),
	FOREIGN KEY(run) REFERENCES runs (run)
);
INSERT INTO "steps" VALUES('20261130-130518-hcxkb9',0,'promo_numbers','create','POST','["advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers"]','{"description": "Radio", "media_type": "Online: Search"}','',1,1,NULL,NULL,NULL,'[]','b66348184129805332a5b88f08546cf7c0db2ee4a2387f0b4af7e6db5977a81d','','done',1,1.79604391905245757104e+09,1.79604391968405127525e+09,201,'{"id": 1005, "id_from_network": "1005", "promo_number": "{radio}", "object_url": "https://sandbox.invalid/promo_numbers/1005", "description": "Radio", "media_type": "Online: Search", "custom_data": {}}','','','');
INSERT INTO "steps" VALUES('20261130-130518-hcxkb9',1,'promo_numbers','create','POST','["advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers"]','{"description": "TV", "media_type": "Online: Search"}','',1,1,NULL,NULL,NULL,'[]','1ff17f2140219ed4c33dfc3f5930687b3f78e1533493f0465b04511b62578d45','','done',1,1.79604391970315742498e+09,1.79604392002159786228e+09,201,'{"id": 1006, "id_from_network": "1006", "promo_number": "{tv}", "object_url": "https://sandbox.invalid/promo_numbers/1006", "description": "TV", "media_type": "Online: Search", "custom_data": {}}','','','');
INSERT INTO "steps" VALUES('20261130-130518-hcxkb9',2,'promo_numbers','create','POST','["advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers"]','{"description": "Mail", "media_type": "Online: Search"}','',1,1,NULL,NULL,NULL,'[]','db6289ed5f33f1a1c0ba98a90c0519704c90cae7299d5ddaba76fb027014ac2a','','sent',1,1.7960439200309565067e+09,NULL,NULL,NULL,'','','');
INSERT INTO "steps" VALUES('20261130-130518-hcxkb9',3,'promo_numbers','create','POST','["advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers"]','{"description": "Print", "media_type": "Online: Search"}','',1,1,NULL,NULL,NULL,'[]','32fe2add85cde83afe53353a63af4f69b3c20463df677ca2b0ec8a40e7c425d3','','pending',0,NULL,NULL,NULL,NULL,'','','');
INSERT INTO "steps" VALUES('20261130-130518-hcxkb9',4,'promo_numbers','create','POST','["advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers"]','{"description": "Web", "media_type": "Online: Search"}','',1,1,NULL,NULL,NULL,'[]','01ccee1c3befaf301e5944b11413c0389d87f98314a10c5265c7f213af06bbe6','','pending',0,NULL,NULL,NULL,NULL,'','','');
CREATE TABLE version (
	version INTEGER NOT NULL
);
INSERT INTO "version" VALUES(4);
CREATE INDEX ix_runs_fingerprint ON runs (fingerprint);
CREATE INDEX ix_steps_identity ON steps (identity);
COMMIT;
