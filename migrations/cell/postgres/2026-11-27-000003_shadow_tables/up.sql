-- Where deleted instances are moved to: each table has the columns of the one that its name says.
CREATE TABLE IF NOT EXISTS shadow_instances (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    internal_id INTEGER,
    user_id VARCHAR(255) COLLATE "C",
    project_id VARCHAR(255) COLLATE "C",
    image_ref VARCHAR(255) COLLATE "C",
    kernel_id VARCHAR(255) COLLATE "C",
    ramdisk_id VARCHAR(255) COLLATE "C",
    launch_index INTEGER,
    key_name VARCHAR(255) COLLATE "C",
    key_data TEXT COLLATE "C",
    power_state INTEGER,
    vm_state VARCHAR(255) COLLATE "C",
    memory_mb INTEGER,
    vcpus INTEGER,
    hostname VARCHAR(255) COLLATE "C",
    host VARCHAR(255) COLLATE "C",
    user_data TEXT COLLATE "C",
    reservation_id VARCHAR(255) COLLATE "C",
    launched_at TIMESTAMP,
    terminated_at TIMESTAMP,
    display_name VARCHAR(255) COLLATE "C",
    display_description VARCHAR(255) COLLATE "C",
    availability_zone VARCHAR(255) COLLATE "C",
    locked BOOLEAN,
    os_type VARCHAR(255) COLLATE "C",
    launched_on TEXT COLLATE "C",
    instance_type_id INTEGER,
    vm_mode VARCHAR(255) COLLATE "C",
    uuid VARCHAR(36) COLLATE "C" NOT NULL,
    architecture VARCHAR(255) COLLATE "C",
    root_device_name VARCHAR(255) COLLATE "C",
    access_ip_v4 VARCHAR(39) COLLATE "C",
    access_ip_v6 VARCHAR(39) COLLATE "C",
    config_drive VARCHAR(255) COLLATE "C",
    task_state VARCHAR(255) COLLATE "C",
    default_ephemeral_device VARCHAR(255) COLLATE "C",
    default_swap_device VARCHAR(255) COLLATE "C",
    progress INTEGER,
    auto_disk_config BOOLEAN,
    shutdown_terminate BOOLEAN,
    disable_terminate BOOLEAN,
    root_gb INTEGER,
    ephemeral_gb INTEGER,
    cell_name VARCHAR(255) COLLATE "C",
    node VARCHAR(255) COLLATE "C",
    deleted INTEGER,
    locked_by VARCHAR(5) COLLATE "C",
    cleaned INTEGER,
    ephemeral_key_uuid VARCHAR(36) COLLATE "C",
    hidden BOOLEAN,
    compute_id BIGINT
);
CREATE INDEX IF NOT EXISTS shadow_instances_uuid_idx ON shadow_instances (uuid);
CREATE INDEX IF NOT EXISTS shadow_instances_deleted_at_idx ON shadow_instances (deleted_at);

CREATE TABLE IF NOT EXISTS shadow_instance_extra (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    deleted INTEGER,
    id INTEGER PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    numa_topology TEXT COLLATE "C",
    pci_requests TEXT COLLATE "C",
    flavor TEXT COLLATE "C",
    vcpu_model TEXT COLLATE "C",
    migration_context TEXT COLLATE "C",
    keypairs TEXT COLLATE "C",
    device_metadata TEXT COLLATE "C",
    trusted_certs TEXT COLLATE "C",
    vpmems TEXT COLLATE "C",
    resources TEXT COLLATE "C"
);
CREATE INDEX IF NOT EXISTS shadow_instance_extra_instance_uuid_idx ON shadow_instance_extra (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_info_caches (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    network_info TEXT COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_info_caches_instance_uuid_idx ON shadow_instance_info_caches (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_faults (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C",
    code INTEGER NOT NULL,
    message VARCHAR(255) COLLATE "C",
    details TEXT COLLATE "C",
    host VARCHAR(255) COLLATE "C",
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_faults_instance_uuid_idx ON shadow_instance_faults (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_actions (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    action VARCHAR(255) COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C",
    request_id VARCHAR(255) COLLATE "C",
    user_id VARCHAR(255) COLLATE "C",
    project_id VARCHAR(255) COLLATE "C",
    start_time TIMESTAMP,
    finish_time TIMESTAMP,
    message VARCHAR(255) COLLATE "C",
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_actions_instance_uuid_idx ON shadow_instance_actions (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_actions_events (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    event VARCHAR(255) COLLATE "C",
    action_id INTEGER,
    start_time TIMESTAMP,
    finish_time TIMESTAMP,
    result VARCHAR(255) COLLATE "C",
    traceback TEXT COLLATE "C",
    deleted INTEGER,
    host VARCHAR(255) COLLATE "C",
    details TEXT COLLATE "C"
);
CREATE INDEX IF NOT EXISTS shadow_instance_actions_events_action_id_idx ON shadow_instance_actions_events (action_id);

CREATE TABLE IF NOT EXISTS shadow_instance_metadata (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    "key" VARCHAR(255) COLLATE "C",
    value VARCHAR(255) COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C",
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_metadata_instance_uuid_idx ON shadow_instance_metadata (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_instance_system_metadata (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    "key" VARCHAR(255) COLLATE "C" NOT NULL,
    value VARCHAR(255) COLLATE "C",
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_instance_system_metadata_instance_uuid_idx ON shadow_instance_system_metadata (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_security_group_instance_association (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    security_group_id INTEGER,
    instance_uuid VARCHAR(36) COLLATE "C",
    deleted INTEGER
);
CREATE INDEX IF NOT EXISTS shadow_security_group_instance_association_instance_uuid_idx ON shadow_security_group_instance_association (instance_uuid);

CREATE TABLE IF NOT EXISTS shadow_block_device_mapping (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id INTEGER PRIMARY KEY,
    device_name VARCHAR(255) COLLATE "C",
    delete_on_termination BOOLEAN,
    snapshot_id VARCHAR(36) COLLATE "C",
    volume_id VARCHAR(36) COLLATE "C",
    volume_size INTEGER,
    no_device BOOLEAN,
    connection_info TEXT COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C",
    deleted INTEGER,
    source_type VARCHAR(255) COLLATE "C",
    destination_type VARCHAR(255) COLLATE "C",
    guest_format VARCHAR(255) COLLATE "C",
    device_type VARCHAR(255) COLLATE "C",
    disk_bus VARCHAR(255) COLLATE "C",
    boot_index INTEGER,
    image_id VARCHAR(36) COLLATE "C",
    tag VARCHAR(255) COLLATE "C",
    attachment_id VARCHAR(36) COLLATE "C",
    uuid VARCHAR(36) COLLATE "C",
    volume_type VARCHAR(255) COLLATE "C",
    encrypted BOOLEAN,
    encryption_secret_uuid VARCHAR(36) COLLATE "C",
    encryption_format VARCHAR(128) COLLATE "C",
    encryption_options VARCHAR(4096) COLLATE "C"
);
CREATE INDEX IF NOT EXISTS shadow_block_device_mapping_instance_uuid_idx ON shadow_block_device_mapping (instance_uuid);
