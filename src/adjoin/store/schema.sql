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
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	licence TEXT NOT NULL, 
	created TEXT NOT NULL, licence_ends INTEGER, least_connector_version TEXT, 
	UNIQUE (id), 
	UNIQUE (name)
)
 STRICT;
CREATE TABLE domain_join_connectors (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	display_name TEXT, 
	display_name_folded TEXT, 
	last_connection_date_time TEXT NOT NULL, 
	last_connection_date_time_ticks INTEGER NOT NULL, 
	state INTEGER NOT NULL, 
	version TEXT NOT NULL, 
	version_folded TEXT NOT NULL, 
	row_version INTEGER DEFAULT '1' NOT NULL, silent_since INTEGER DEFAULT '4611686018427387904' NOT NULL, instance TEXT, sequence INTEGER DEFAULT '0' NOT NULL, doubled INTEGER DEFAULT '0' NOT NULL, report TEXT, domain TEXT, enrolled TEXT, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE INDEX domain_join_connectors_by_display_name ON domain_join_connectors (tenant, display_name_folded, id);
CREATE INDEX domain_join_connectors_by_last_connection_date_time ON domain_join_connectors (tenant, last_connection_date_time_ticks, id);
CREATE INDEX domain_join_connectors_by_state ON domain_join_connectors (tenant, state, id);
CREATE INDEX domain_join_connectors_by_version ON domain_join_connectors (tenant, version_folded, id);
CREATE TABLE repeated_requests (
	tenant INTEGER NOT NULL, 
	client TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	digest BLOB NOT NULL, 
	outcome BLOB NOT NULL, 
	created INTEGER NOT NULL, 
	PRIMARY KEY (tenant, client, request_id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE INDEX repeated_requests_by_created ON repeated_requests (created);
CREATE TABLE applications (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	object_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	permissions TEXT NOT NULL, 
	secret_digest BLOB, 
	created TEXT NOT NULL, 
	redirect_uris TEXT DEFAULT '' NOT NULL, 
	public_client INTEGER DEFAULT '0' NOT NULL, 
	revoked_before INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE, 
	UNIQUE (tenant, name)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE application_keys (
	tenant INTEGER NOT NULL, 
	application TEXT NOT NULL, 
	thumbprint TEXT NOT NULL, 
	public_key BLOB NOT NULL, 
	expires INTEGER, 
	created TEXT NOT NULL, 
	PRIMARY KEY (tenant, application, thumbprint), 
	FOREIGN KEY(tenant, application) REFERENCES applications (tenant, id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE users (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	display_name TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	permissions TEXT NOT NULL, 
	enabled INTEGER DEFAULT '1' NOT NULL, 
	revoked_before INTEGER DEFAULT '0' NOT NULL, 
	created TEXT NOT NULL, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE, 
	UNIQUE (tenant, name)
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE grants (
	tenant INTEGER NOT NULL, 
	digest BLOB NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	client TEXT NOT NULL, 
	subject TEXT, 
	content BLOB NOT NULL, 
	created INTEGER NOT NULL, 
	expires INTEGER NOT NULL, 
	PRIMARY KEY (tenant, digest), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE INDEX grants_by_expiry ON grants (expires);
CREATE INDEX grants_by_subject ON grants (tenant, subject);
CREATE INDEX domain_join_connectors_by_silent_since ON domain_join_connectors (tenant, silent_since, id);
CREATE TABLE connector_keys (
	tenant INTEGER NOT NULL, 
	connector TEXT NOT NULL, 
	thumbprint TEXT NOT NULL, 
	public_key BLOB NOT NULL, 
	confirmed INTEGER NOT NULL, 
	expires INTEGER NOT NULL, 
	created TEXT NOT NULL, 
	PRIMARY KEY (tenant, connector, thumbprint), 
	FOREIGN KEY(tenant, connector) REFERENCES domain_join_connectors (tenant, id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE TABLE connector_counts (
	tenant INTEGER NOT NULL, 
	state INTEGER NOT NULL, 
	writer INTEGER DEFAULT '0' NOT NULL, 
	number INTEGER NOT NULL, 
	PRIMARY KEY (tenant, state, writer), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT;
CREATE TRIGGER connectors_count_insert AFTER INSERT ON domain_join_connectors BEGIN INSERT INTO connector_counts VALUES (NEW.tenant, NEW.state, 0, 1) ON CONFLICT DO UPDATE SET number = number + 1; END;
CREATE TRIGGER connectors_count_delete AFTER DELETE ON domain_join_connectors BEGIN UPDATE connector_counts SET number = number - 1 WHERE tenant = OLD.tenant AND state = OLD.state AND writer = 0; END;
CREATE TRIGGER connectors_count_update AFTER UPDATE OF state ON domain_join_connectors WHEN NEW.state <> OLD.state BEGIN UPDATE connector_counts SET number = number - 1 WHERE tenant = OLD.tenant AND state = OLD.state AND writer = 0; INSERT INTO connector_counts VALUES (NEW.tenant, NEW.state, 0, 1) ON CONFLICT DO UPDATE SET number = number + 1; END;
CREATE TABLE changes (
	tenant INTEGER NOT NULL, 
	sequence INTEGER NOT NULL, 
	entity TEXT NOT NULL, 
	kind INTEGER NOT NULL, 
	ticks INTEGER NOT NULL, 
	PRIMARY KEY (tenant, sequence), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE change_counters (
	tenant INTEGER NOT NULL, 
	last INTEGER DEFAULT '0' NOT NULL, 
	dropped INTEGER DEFAULT '0' NOT NULL, 
	clock INTEGER, 
	clock_key TEXT DEFAULT '' NOT NULL, 
	PRIMARY KEY (tenant), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;
CREATE TABLE subscriptions (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	application_id TEXT, 
	application_id_folded TEXT, 
	change_type TEXT NOT NULL, 
	change_type_folded TEXT NOT NULL, 
	client_state TEXT, 
	creator_id TEXT, 
	creator_id_folded TEXT, 
	expiration_date_time TEXT NOT NULL, 
	expiration_date_time_ticks INTEGER NOT NULL, 
	include_resource_data INTEGER, 
	latest_supported_tls_version TEXT, 
	latest_supported_tls_version_folded TEXT, 
	lifecycle_notification_url TEXT, 
	lifecycle_notification_url_folded TEXT, 
	notification_url TEXT NOT NULL, 
	notification_url_folded TEXT NOT NULL, 
	resource TEXT NOT NULL, 
	resource_folded TEXT NOT NULL, 
	row_version INTEGER DEFAULT '1' NOT NULL, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;
CREATE INDEX subscriptions_by_application_id ON subscriptions (tenant, application_id_folded, id);
CREATE INDEX subscriptions_by_change_type ON subscriptions (tenant, change_type_folded, id);
CREATE INDEX subscriptions_by_creator_id ON subscriptions (tenant, creator_id_folded, id);
CREATE INDEX subscriptions_by_expiration_date_time ON subscriptions (tenant, expiration_date_time_ticks, id);
CREATE INDEX subscriptions_by_include_resource_data ON subscriptions (tenant, include_resource_data, id);
CREATE INDEX subscriptions_by_latest_supported_tls_version ON subscriptions (tenant, latest_supported_tls_version_folded, id);
CREATE INDEX subscriptions_by_lifecycle_notification_url ON subscriptions (tenant, lifecycle_notification_url_folded, id);
CREATE INDEX subscriptions_by_notification_url ON subscriptions (tenant, notification_url_folded, id);
CREATE INDEX subscriptions_by_resource ON subscriptions (tenant, resource_folded, id);
CREATE TABLE deliveries (
	tenant INTEGER NOT NULL, 
	subscription TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	registered INTEGER NOT NULL, 
	attempts INTEGER DEFAULT '0' NOT NULL, 
	due INTEGER DEFAULT '0' NOT NULL, 
	leased_by TEXT, 
	leased_until INTEGER DEFAULT '0' NOT NULL, 
	owed TEXT, 
	warned INTEGER DEFAULT '0' NOT NULL, host TEXT DEFAULT '' NOT NULL, person INTEGER DEFAULT '0' NOT NULL, event_due INTEGER DEFAULT '0' NOT NULL, event_attempts INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (tenant, subscription), 
	FOREIGN KEY(tenant, subscription) REFERENCES subscriptions (tenant, id) ON DELETE CASCADE
)
 WITHOUT ROWID,
 STRICT

;
CREATE INDEX deliveries_by_position ON deliveries (tenant, position, due, attempts, leased_until, host);
CREATE INDEX deliveries_by_event_due ON deliveries (tenant, event_due);
CREATE INDEX deliveries_by_holder ON deliveries (leased_by) WHERE leased_by IS NOT NULL;
CREATE TABLE audit_events (
	tenant INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	display_name TEXT, 
	display_name_folded TEXT, 
	component_name TEXT, 
	component_name_folded TEXT, 
	actor TEXT, 
	activity TEXT, 
	activity_folded TEXT, 
	activity_date_time TEXT NOT NULL, 
	activity_date_time_ticks INTEGER NOT NULL, 
	activity_type TEXT, 
	activity_type_folded TEXT, 
	activity_operation_type TEXT, 
	activity_operation_type_folded TEXT, 
	activity_result TEXT, 
	activity_result_folded TEXT, 
	correlation_id TEXT NOT NULL, 
	resources TEXT NOT NULL, 
	category TEXT, 
	category_folded TEXT, 
	row_version INTEGER DEFAULT '1' NOT NULL, 
	PRIMARY KEY (tenant, id), 
	FOREIGN KEY(tenant) REFERENCES tenants (number) ON DELETE CASCADE
)
 STRICT;
ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', 'domain_join_connectors', '100000 50000 1');
INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', 'domain_join_connectors_by_display_name', '100000 50000 2 1');
INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', 'domain_join_connectors_by_last_connection_date_time', '100000 50000 2 1');
INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', 'domain_join_connectors_by_silent_since', '100000 50000 2 1');
INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', 'domain_join_connectors_by_state', '100000 50000 20000 1');
INSERT INTO sqlite_stat1 VALUES ('domain_join_connectors', 'domain_join_connectors_by_version', '100000 50000 1000 1');
