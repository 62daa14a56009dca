-- Where deleted instances are moved to: each table has the columns of the one that its name says.
-- Every statement is guarded: DDL commits by itself here, so a run that was interrupted is run again.
CREATE TABLE IF NOT EXISTS shadow_instances (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    internal_id INT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    image_ref VARCHAR(255),
    kernel_id VARCHAR(255),
    ramdisk_id VARCHAR(255),
    launch_index INT,
    key_name VARCHAR(255),
    key_data MEDIUMTEXT,
    power_state INT,
    vm_state VARCHAR(255),
    memory_mb INT,
    vcpus INT,
    hostname VARCHAR(255),
    host VARCHAR(255),
    user_data MEDIUMTEXT,
    reservation_id VARCHAR(255),
    launched_at DATETIME(6) NULL,
    terminated_at DATETIME(6) NULL,
    display_name VARCHAR(255),
    display_description VARCHAR(255),
    availability_zone VARCHAR(255),
    locked BOOLEAN,
    os_type VARCHAR(255),
    launched_on MEDIUMTEXT,
    instance_type_id INT,
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
    progress INT,
    auto_disk_config BOOLEAN,
    shutdown_terminate BOOLEAN,
    disable_terminate BOOLEAN,
    root_gb INT,
    ephemeral_gb INT,
    cell_name VARCHAR(255),
    node VARCHAR(255),
    deleted INT,
    locked_by VARCHAR(5),
    cleaned INT,
    ephemeral_key_uuid VARCHAR(36),
    hidden BOOLEAN,
    compute_id BIGINT,
    KEY shadow_instances_uuid_idx (uuid),
    KEY shadow_instances_deleted_at_idx (deleted_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_extra (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    deleted INT,
    id INT NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    numa_topology MEDIUMTEXT,
    pci_requests MEDIUMTEXT,
    flavor MEDIUMTEXT,
    vcpu_model MEDIUMTEXT,
    migration_context MEDIUMTEXT,
    keypairs MEDIUMTEXT,
    device_metadata MEDIUMTEXT,
    trusted_certs MEDIUMTEXT,
    vpmems MEDIUMTEXT,
    resources MEDIUMTEXT,
    KEY shadow_instance_extra_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_info_caches (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    network_info MEDIUMTEXT,
    instance_uuid VARCHAR(36) NOT NULL,
    deleted INT,
    KEY shadow_instance_info_caches_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_faults (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36),
    code INT NOT NULL,
    message VARCHAR(255),
    details MEDIUMTEXT,
    host VARCHAR(255),
    deleted INT,
    KEY shadow_instance_faults_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_actions (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    action VARCHAR(255),
    instance_uuid VARCHAR(36),
    request_id VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    start_time DATETIME(6) NULL,
    finish_time DATETIME(6) NULL,
    message VARCHAR(255),
    deleted INT,
    KEY shadow_instance_actions_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_actions_events (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    event VARCHAR(255),
    action_id INT,
    start_time DATETIME(6) NULL,
    finish_time DATETIME(6) NULL,
    result VARCHAR(255),
    traceback MEDIUMTEXT,
    deleted INT,
    host VARCHAR(255),
    details MEDIUMTEXT,
    KEY shadow_instance_actions_events_action_id_idx (action_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_metadata (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    `key` VARCHAR(255),
    value VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INT,
    KEY shadow_instance_metadata_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_instance_system_metadata (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    deleted INT,
    KEY shadow_instance_system_metadata_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_security_group_instance_association (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    security_group_id INT,
    instance_uuid VARCHAR(36),
    deleted INT,
    KEY shadow_security_group_instance_association_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;

CREATE TABLE IF NOT EXISTS shadow_block_device_mapping (
    created_at DATETIME(6) NULL,
    updated_at DATETIME(6) NULL,
    deleted_at DATETIME(6) NULL,
    id INT NOT NULL PRIMARY KEY,
    device_name VARCHAR(255),
    delete_on_termination BOOLEAN,
    snapshot_id VARCHAR(36),
    volume_id VARCHAR(36),
    volume_size INT,
    no_device BOOLEAN,
    connection_info MEDIUMTEXT,
    instance_uuid VARCHAR(36),
    deleted INT,
    source_type VARCHAR(255),
    destination_type VARCHAR(255),
    guest_format VARCHAR(255),
    device_type VARCHAR(255),
    disk_bus VARCHAR(255),
    boot_index INT,
    image_id VARCHAR(36),
    tag VARCHAR(255),
    attachment_id VARCHAR(36),
    uuid VARCHAR(36),
    volume_type VARCHAR(255),
    encrypted BOOLEAN,
    encryption_secret_uuid VARCHAR(36),
    encryption_format VARCHAR(128),
    encryption_options VARCHAR(4096),
    KEY shadow_block_device_mapping_instance_uuid_idx (instance_uuid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin;
