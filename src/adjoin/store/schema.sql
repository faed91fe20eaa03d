CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE settings (
	name TEXT NOT NULL, 
	value BLOB NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE tenants (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	licence TEXT NOT NULL, 
	created TEXT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (id), 
	UNIQUE (name)
)
 STRICT;
CREATE TABLE applications (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	object_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	permissions TEXT NOT NULL, 
	secret_digest BLOB NOT NULL, 
	created TEXT NOT NULL, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE, 
	UNIQUE (tenant, name)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE domain_join_connectors (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	display_name TEXT, 
	last_connection_date_time TEXT NOT NULL, 
	last_connection_date_time_ticks INTEGER NOT NULL, 
	state INTEGER NOT NULL, 
	version TEXT NOT NULL, 
	row_version INTEGER DEFAULT '1' NOT NULL, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
