-- Where deleted instances are moved to: each table has the columns of the one that its name says.
CREATE TABLE IF NOT EXISTS shadow_instances (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    internal_id INTEGER,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    image_ref VARCHAR(255),
    kernel_id VARCHAR(255),
    ramdisk_id VARCHAR(255),
    launch_index INTEGER,
    key_name VARCHAR(255),
    key_data TEXT,
    power_state INTEGER,
    vm_state VARCHAR(255),
    memory_mb INTEGER,
    vcpus INTEGER,
    hostname VARCHAR(255),
    host VARCHAR(255),
    user_data TEXT,
    reservation_id VARCHAR(255),
    launched_at DATETIME,
    terminated_at DATETIME,
    display_name VARCHAR(255),
    display_description VARCHAR(255),
    availability_zone VARCHAR(255),
    locked BOOLEAN,
    os_type VARCHAR(255),
    launched_on TEXT,
    instance_type_id INTEGER,
    vm_mode VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    architecture VARCHAR(255),
    root_device_name VARCHAR(255),
    access_ip_v4 VARCHAR(39),
    access_ip_v6 VARCHAR(39),
    config_drive VARCHAR(255),
    task_state VARCHAR(255),
    default_ephemeral_device VARCHAR(255),
    default_swap_device VARCHAR(255),
    progress INTEGER,
    auto_disk_config BOOLEAN,
    shutdown_terminate BOOLEAN,
    disable_terminate BOOLEAN,
    root_gb INTEGER,
    ephemeral_gb INTEGER,
    cell_name VARCHAR(255),
    node VARCHAR(255),
    deleted INTEGER,
    locked_by VARCHAR(5),
    cleaned INTEGER,
    ephemeral_key_uuid VARCHAR(36),
    hidden BOOLEAN,
    compute_id BIGINT
);
CREATE INDEX IF NOT EXISTS shadow_instances_uuid_idx ON shadow_instances (uuid);
CREATE INDEX IF NOT EXISTS shadow_instances_deleted_at_idx ON shadow_instances (deleted_at);

CREATE TABLE IF NOT EXISTS shadow_instance_extra (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INTEGER,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    numa_topology TEXT,
    pci_requests TEXT,
    flavor TEXT,
    vcpu_model TEXT,
    migration_context TEXT,
    keypairs TEXT,
    device_metadata TEXT,
    trusted_certs TEXT,
    vpmems TEXT,
    resources TEXT
);
CREATE INDEX IF NOT EXISTS shadow_instance_extra_instance_uuid_idx ON shadow_instance_extra (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_info_caches (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    network_info TEXT,
    instance_uuid VARCHAR(36) NOT NULL,
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_info_caches_instance_uuid_idx ON shadow_instance_info_caches (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_faults (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36),
    code INTEGER NOT NULL,
    message VARCHAR(255),
    details TEXT,
    host VARCHAR(255),
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_faults_instance_uuid_idx ON shadow_instance_faults (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_actions (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    action VARCHAR(255),
    instance_uuid VARCHAR(36),
    request_id VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    start_time DATETIME,
    finish_time DATETIME,
    message VARCHAR(255),
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_actions_instance_uuid_idx ON shadow_instance_actions (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_actions_events (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    event VARCHAR(255),
    action_id INTEGER,
    start_time DATETIME,
    finish_time DATETIME,
    result VARCHAR(255),
    traceback TEXT,
    deleted INTEGER,
    host VARCHAR(255),
    details TEXT
);
CREATE INDEX IF NOT EXISTS shadow_instance_actions_events_action_id_idx ON shadow_instance_actions_events (action_id);

CREATE TABLE IF NOT EXISTS shadow_instance_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    "key" VARCHAR(255),
    value VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_metadata_instance_uuid_idx ON shadow_instance_metadata (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_system_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_system_metadata_instance_uuid_idx ON shadow_instance_system_metadata (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_security_group_instance_association (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    security_group_id INTEGER,
    instance_uuid VARCHAR(36),
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_security_group_instance_association_instance_uuid_idx ON shadow_security_group_instance_association (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_block_device_mapping (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    device_name VARCHAR(255),
    delete_on_termination BOOLEAN,
    snapshot_id VARCHAR(36),
    volume_id VARCHAR(36),
    volume_size INTEGER,
    no_device BOOLEAN,
    connection_info TEXT,
    instance_uuid VARCHAR(36),
    deleted INTEGER,
    source_type VARCHAR(255),
    destination_type VARCHAR(255),
    guest_format VARCHAR(255),
    device_type VARCHAR(255),
    disk_bus VARCHAR(255),
    boot_index INTEGER,
    image_id VARCHAR(36),
    tag VARCHAR(255),
    attachment_id VARCHAR(36),
    uuid VARCHAR(36),
    volume_type VARCHAR(255),
    encrypted BOOLEAN,
    encryption_secret_uuid VARCHAR(36),
    encryption_format VARCHAR(128),
    encryption_options VARCHAR(4096)
);
CREATE INDEX IF NOT EXISTS shadow_block_device_mapping_instance_uuid_idx ON shadow_block_device_mapping (instance_uuid);
