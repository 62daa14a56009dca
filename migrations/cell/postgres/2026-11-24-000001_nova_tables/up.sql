-- Tables that Nova has too, in its layout.
CREATE TABLE IF NOT EXISTS instances (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
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
    compute_id BIGINT,
    CONSTRAINT uniq_instances0uuid UNIQUE (uuid)
);
CREATE INDEX IF NOT EXISTS instances_compute_id_deleted_idx ON instances (compute_id, deleted);
CREATE INDEX IF NOT EXISTS instances_deleted_created_at_uuid_idx ON instances (deleted, created_at NULLS FIRST, uuid);
CREATE INDEX IF NOT EXISTS instances_host_deleted_cleaned_idx ON instances (host, deleted, cleaned);
CREATE INDEX IF NOT EXISTS instances_host_node_deleted_idx ON instances (host, node, deleted);
CREATE INDEX IF NOT EXISTS instances_project_id_deleted_created_at_uuid_idx ON instances (project_id, deleted, created_at NULLS FIRST, uuid);
CREATE INDEX IF NOT EXISTS instances_reservation_id_idx ON instances (reservation_id);
CREATE INDEX IF NOT EXISTS instances_task_state_updated_at_idx ON instances (task_state, updated_at);
CREATE INDEX IF NOT EXISTS instances_terminated_at_launched_at_idx ON instances (terminated_at, launched_at);
CREATE INDEX IF NOT EXISTS instances_updated_at_project_id_idx ON instances (updated_at, project_id);

CREATE TABLE IF NOT EXISTS instance_extra (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    deleted INTEGER,
    id SERIAL PRIMARY KEY,
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
    resources TEXT COLLATE "C",
    CONSTRAINT fk_instance_extra0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE INDEX IF NOT EXISTS instance_extra_idx ON instance_extra (instance_uuid);

CREATE TABLE IF NOT EXISTS instance_info_caches (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    network_info TEXT COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    deleted INTEGER,
    CONSTRAINT uniq_instance_info_caches0instance_uuid UNIQUE (instance_uuid),
    CONSTRAINT fk_instance_info_caches0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);

CREATE TABLE IF NOT EXISTS instance_faults (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C",
    code INTEGER NOT NULL,
    message VARCHAR(255) COLLATE "C",
    details TEXT COLLATE "C",
    host VARCHAR(255) COLLATE "C",
    deleted INTEGER,
    CONSTRAINT fk_instance_faults0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE INDEX IF NOT EXISTS instance_faults_host_idx ON instance_faults (host);
CREATE INDEX IF NOT EXISTS instance_faults_instance_uuid_deleted_created_at_idx ON instance_faults (instance_uuid, deleted, created_at);

CREATE TABLE IF NOT EXISTS instance_actions (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    action VARCHAR(255) COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C",
    request_id VARCHAR(255) COLLATE "C",
    user_id VARCHAR(255) COLLATE "C",
    project_id VARCHAR(255) COLLATE "C",
    start_time TIMESTAMP,
    finish_time TIMESTAMP,
    message VARCHAR(255) COLLATE "C",
    deleted INTEGER,
    CONSTRAINT fk_instance_actions0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE INDEX IF NOT EXISTS instance_actions_instance_uuid_updated_at_idx ON instance_actions (instance_uuid, updated_at);
CREATE INDEX IF NOT EXISTS instance_actions0instance_uuid_idx ON instance_actions (instance_uuid);
CREATE INDEX IF NOT EXISTS instance_actions0request_id_idx ON instance_actions (request_id);

CREATE TABLE IF NOT EXISTS instance_actions_events (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    event VARCHAR(255) COLLATE "C",
    action_id INTEGER,
    start_time TIMESTAMP,
    finish_time TIMESTAMP,
    result VARCHAR(255) COLLATE "C",
    traceback TEXT COLLATE "C",
    deleted INTEGER,
    host VARCHAR(255) COLLATE "C",
    details TEXT COLLATE "C",
    CONSTRAINT fk_instance_actions_events0action_id FOREIGN KEY (action_id) REFERENCES instance_actions (id)
);
CREATE INDEX IF NOT EXISTS instance_actions_events_action_id_idx ON instance_actions_events (action_id);

CREATE TABLE IF NOT EXISTS instance_metadata (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    "key" VARCHAR(255) COLLATE "C",
    value VARCHAR(255) COLLATE "C",
    instance_uuid VARCHAR(36) COLLATE "C",
    deleted INTEGER,
    CONSTRAINT fk_instance_metadata0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE INDEX IF NOT EXISTS instance_metadata_instance_uuid_idx ON instance_metadata (instance_uuid);

CREATE TABLE IF NOT EXISTS instance_system_metadata (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    instance_uuid VARCHAR(36) COLLATE "C" NOT NULL,
    "key" VARCHAR(255) COLLATE "C" NOT NULL,
    value VARCHAR(255) COLLATE "C",
    deleted INTEGER,
    CONSTRAINT fk_instance_system_metadata0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE INDEX IF NOT EXISTS instance_system_metadata0instance_uuid ON instance_system_metadata (instance_uuid);

CREATE TABLE IF NOT EXISTS security_groups (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    name VARCHAR(255) COLLATE "C",
    description VARCHAR(255) COLLATE "C",
    user_id VARCHAR(255) COLLATE "C",
    project_id VARCHAR(255) COLLATE "C",
    deleted INTEGER,
    CONSTRAINT uniq_security_groups0project_id0name0deleted UNIQUE (project_id, name, deleted)
);

CREATE TABLE IF NOT EXISTS security_group_instance_association (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    security_group_id INTEGER,
    instance_uuid VARCHAR(36) COLLATE "C",
    deleted INTEGER,
    CONSTRAINT fk_security_group_instance_association0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid),
    CONSTRAINT fk_security_group_instance_association0security_group_id FOREIGN KEY (security_group_id) REFERENCES security_groups (id)
);
CREATE INDEX IF NOT EXISTS security_group_instance_association_instance_uuid_idx ON security_group_instance_association (instance_uuid);
CREATE INDEX IF NOT EXISTS security_group_instance_association_security_group_id_idx ON security_group_instance_association (security_group_id);

CREATE TABLE IF NOT EXISTS block_device_mapping (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
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
    encryption_options VARCHAR(4096) COLLATE "C",
    CONSTRAINT uniq_block_device_mapping0uuid UNIQUE (uuid),
    CONSTRAINT fk_block_device_mapping0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE INDEX IF NOT EXISTS block_device_mapping_instance_uuid_device_name_idx ON block_device_mapping (instance_uuid, device_name);
CREATE INDEX IF NOT EXISTS block_device_mapping_instance_uuid_idx ON block_device_mapping (instance_uuid);
CREATE INDEX IF NOT EXISTS block_device_mapping_instance_uuid_volume_id_idx ON block_device_mapping (instance_uuid, volume_id);
CREATE INDEX IF NOT EXISTS block_device_mapping0snapshot_id ON block_device_mapping (snapshot_id);
CREATE INDEX IF NOT EXISTS block_device_mapping0volume_id ON block_device_mapping (volume_id);

CREATE TABLE IF NOT EXISTS tags (
    resource_id VARCHAR(36) COLLATE "C" NOT NULL,
    tag VARCHAR(80) COLLATE "C" NOT NULL,
    PRIMARY KEY (resource_id, tag)
);
CREATE INDEX IF NOT EXISTS tags_tag_idx ON tags (tag);

CREATE TABLE IF NOT EXISTS compute_nodes (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    service_id INTEGER,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    local_gb INTEGER NOT NULL,
    vcpus_used INTEGER NOT NULL,
    memory_mb_used INTEGER NOT NULL,
    local_gb_used INTEGER NOT NULL,
    hypervisor_type TEXT COLLATE "C" NOT NULL,
    hypervisor_version INTEGER NOT NULL,
    cpu_info TEXT COLLATE "C" NOT NULL,
    disk_available_least INTEGER,
    free_ram_mb INTEGER,
    free_disk_gb INTEGER,
    current_workload INTEGER,
    running_vms INTEGER,
    hypervisor_hostname VARCHAR(255) COLLATE "C",
    deleted INTEGER,
    host_ip VARCHAR(39) COLLATE "C",
    supported_instances TEXT COLLATE "C",
    pci_stats TEXT COLLATE "C",
    metrics TEXT COLLATE "C",
    extra_resources TEXT COLLATE "C",
    stats TEXT COLLATE "C",
    numa_topology TEXT COLLATE "C",
    host VARCHAR(255) COLLATE "C",
    ram_allocation_ratio DOUBLE PRECISION,
    cpu_allocation_ratio DOUBLE PRECISION,
    uuid VARCHAR(36) COLLATE "C",
    disk_allocation_ratio DOUBLE PRECISION,
    mapped INTEGER,
    CONSTRAINT compute_nodes_uuid_idx UNIQUE (uuid),
    CONSTRAINT uniq_compute_nodes0host0hypervisor_hostname0deleted UNIQUE (host, hypervisor_hostname, deleted)
);

CREATE TABLE IF NOT EXISTS services (
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    deleted_at TIMESTAMP,
    id SERIAL PRIMARY KEY,
    host VARCHAR(255) COLLATE "C",
    "binary" VARCHAR(255) COLLATE "C",
    topic VARCHAR(255) COLLATE "C",
    report_count INTEGER NOT NULL,
    disabled BOOLEAN,
    deleted INTEGER,
    disabled_reason VARCHAR(255) COLLATE "C",
    last_seen_up TIMESTAMP,
    forced_down BOOLEAN,
    version INTEGER,
    uuid VARCHAR(36) COLLATE "C",
    CONSTRAINT services_uuid_idx UNIQUE (uuid),
    CONSTRAINT uniq_services0host0binary0deleted UNIQUE (host, "binary", deleted),
    CONSTRAINT uniq_services0host0topic0deleted UNIQUE (host, topic, deleted)
);
