PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE __diesel_schema_migrations (
       version VARCHAR(50) PRIMARY KEY NOT NULL,
       run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO __diesel_schema_migrations VALUES('20261124000001','2026-11-27 03:03:22');
INSERT INTO __diesel_schema_migrations VALUES('20261124000002','2026-11-27 03:03:22');
CREATE TABLE instances (
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
    compute_id BIGINT,
    CONSTRAINT uniq_instances0uuid UNIQUE (uuid)
);
INSERT INTO instances VALUES('2026-11-27 03:03:22.993168','2026-11-27 03:03:23.005032',NULL,1,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,1,'active',512,1,'lives','cell1-host1',NULL,'r-c7aaa9ad','2026-11-27 03:03:23.005032',NULL,'lives','lives','nova',0,NULL,NULL,1,NULL,'433aed4a-5d1d-438e-a8b3-32173c95c7cc',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,'cell1-host1',0,NULL,0,NULL,0,NULL);
INSERT INTO instances VALUES('2026-11-27 03:03:23.040157','2026-11-27 03:03:23.051056',NULL,2,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,1,'active',512,1,'second','cell1-host1',NULL,'r-691885f1','2026-11-27 03:03:23.051056',NULL,'second','second','nova',0,NULL,NULL,1,NULL,'538e8b87-7d0e-4ae2-a05c-868459c21574',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,'cell1-host1',0,NULL,0,NULL,0,NULL);
CREATE TABLE instance_extra (
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
    resources TEXT,
    CONSTRAINT fk_instance_extra0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:22.998121',NULL,NULL,0,1,'433aed4a-5d1d-438e-a8b3-32173c95c7cc',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.046711',NULL,NULL,0,2,'538e8b87-7d0e-4ae2-a05c-868459c21574',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
CREATE TABLE instance_info_caches (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    network_info TEXT,
    instance_uuid VARCHAR(36) NOT NULL,
    deleted INTEGER,
    CONSTRAINT uniq_instance_info_caches0instance_uuid UNIQUE (instance_uuid),
    CONSTRAINT fk_instance_info_caches0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:22.998121',NULL,NULL,1,'[]','433aed4a-5d1d-438e-a8b3-32173c95c7cc',0);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.046711',NULL,NULL,2,'[]','538e8b87-7d0e-4ae2-a05c-868459c21574',0);
CREATE TABLE instance_faults (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36),
    code INTEGER NOT NULL,
    message VARCHAR(255),
    details TEXT,
    host VARCHAR(255),
    deleted INTEGER,
    CONSTRAINT fk_instance_faults0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE TABLE instance_actions (
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
    deleted INTEGER,
    CONSTRAINT fk_instance_actions0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:22.998121','2026-11-27 03:03:22.998121',NULL,1,'create','433aed4a-5d1d-438e-a8b3-32173c95c7cc','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:22.993168',NULL,NULL,0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.046711','2026-11-27 03:03:23.046711',NULL,2,'create','538e8b87-7d0e-4ae2-a05c-868459c21574','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.040157',NULL,NULL,0);
CREATE TABLE instance_actions_events (
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
    details TEXT,
    CONSTRAINT fk_instance_actions_events0action_id FOREIGN KEY (action_id) REFERENCES instance_actions (id)
);
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:22.998121','2026-11-27 03:03:23.005032',NULL,1,'compute__do_build_and_run_instance',1,'2026-11-27 03:03:22.993168','2026-11-27 03:03:23.005032','Success',NULL,0,'cellzero',NULL);
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.046711','2026-11-27 03:03:23.051056',NULL,2,'compute__do_build_and_run_instance',2,'2026-11-27 03:03:23.040157','2026-11-27 03:03:23.051056','Success',NULL,0,'cellzero',NULL);
CREATE TABLE instance_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    "key" VARCHAR(255),
    value VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INTEGER,
    CONSTRAINT fk_instance_metadata0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE TABLE instance_system_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    deleted INTEGER,
    CONSTRAINT fk_instance_system_metadata0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE TABLE security_groups (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(255),
    description VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    deleted INTEGER,
    CONSTRAINT uniq_security_groups0project_id0name0deleted UNIQUE (project_id, name, deleted)
);
INSERT INTO security_groups VALUES('2026-11-27 03:03:22.998121',NULL,NULL,1,'default','default','user-a','project-a',0);
CREATE TABLE security_group_instance_association (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    security_group_id INTEGER,
    instance_uuid VARCHAR(36),
    deleted INTEGER,
    CONSTRAINT fk_security_group_instance_association0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid),
    CONSTRAINT fk_security_group_instance_association0security_group_id FOREIGN KEY (security_group_id) REFERENCES security_groups (id)
);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:22.998121',NULL,NULL,1,1,'433aed4a-5d1d-438e-a8b3-32173c95c7cc',0);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.046711',NULL,NULL,2,1,'538e8b87-7d0e-4ae2-a05c-868459c21574',0);
CREATE TABLE block_device_mapping (
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
    encryption_options VARCHAR(4096),
    CONSTRAINT uniq_block_device_mapping0uuid UNIQUE (uuid),
    CONSTRAINT fk_block_device_mapping0instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
);
CREATE TABLE tags (
    resource_id VARCHAR(36) NOT NULL,
    tag VARCHAR(80) NOT NULL,
    PRIMARY KEY (resource_id, tag)
);
CREATE TABLE compute_nodes (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    service_id INTEGER,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    local_gb INTEGER NOT NULL,
    vcpus_used INTEGER NOT NULL,
    memory_mb_used INTEGER NOT NULL,
    local_gb_used INTEGER NOT NULL,
    hypervisor_type TEXT NOT NULL,
    hypervisor_version INTEGER NOT NULL,
    cpu_info TEXT NOT NULL,
    disk_available_least INTEGER,
    free_ram_mb INTEGER,
    free_disk_gb INTEGER,
    current_workload INTEGER,
    running_vms INTEGER,
    hypervisor_hostname VARCHAR(255),
    deleted INTEGER,
    host_ip VARCHAR(39),
    supported_instances TEXT,
    pci_stats TEXT,
    metrics TEXT,
    extra_resources TEXT,
    stats TEXT,
    numa_topology TEXT,
    host VARCHAR(255),
    ram_allocation_ratio FLOAT,
    cpu_allocation_ratio FLOAT,
    uuid VARCHAR(36),
    disk_allocation_ratio FLOAT,
    mapped INTEGER,
    CONSTRAINT compute_nodes_uuid_idx UNIQUE (uuid),
    CONSTRAINT uniq_compute_nodes0host0hypervisor_hostname0deleted UNIQUE (host, hypervisor_hostname, deleted)
);
INSERT INTO compute_nodes VALUES('2026-11-27 03:03:22.981337','2026-11-27 03:03:22.981337',NULL,1,NULL,2,1024,20,0,0,0,'QEMU',8002000,'{}',NULL,NULL,NULL,NULL,NULL,'cell1-host1',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'cell1-host1',1.0,1.0,'2ba3b63e-d896-445f-b9f8-ce9d34d311da',1.0,1);
CREATE TABLE services (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    host VARCHAR(255),
    "binary" VARCHAR(255),
    topic VARCHAR(255),
    report_count INTEGER NOT NULL,
    disabled BOOLEAN,
    deleted INTEGER,
    disabled_reason VARCHAR(255),
    last_seen_up DATETIME,
    forced_down BOOLEAN,
    version INTEGER,
    uuid VARCHAR(36),
    CONSTRAINT services_uuid_idx UNIQUE (uuid),
    CONSTRAINT uniq_services0host0binary0deleted UNIQUE (host, "binary", deleted),
    CONSTRAINT uniq_services0host0topic0deleted UNIQUE (host, topic, deleted)
);
INSERT INTO services VALUES('2026-11-27 03:03:22.981337',NULL,NULL,1,'cell1-host1','nova-compute','compute',1,0,0,NULL,'2026-11-27 03:03:22.981337',0,0,'77425d63-7d1b-4e57-9dfc-2ff8448e5d8e');
CREATE TABLE database_identity (
    id INTEGER NOT NULL,
    kind VARCHAR(16) NOT NULL,
    plane_uuid VARCHAR(36),
    cell_uuid VARCHAR(36),
    schema_version BIGINT NOT NULL,
    oldest_binary BIGINT NOT NULL,
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (id)
);
INSERT INTO database_identity VALUES(1,'cell','01a21af5-240d-7013-948a-6e52a955aa3c','55059936-f382-4927-86f9-699872c530a9',1,1,'2026-11-27 03:03:22.957956','2026-11-27 03:03:22.959980');
CREATE TABLE instance_fences (
    instance_uuid VARCHAR(36) NOT NULL,
    fence BIGINT NOT NULL,
    written_epoch BIGINT,
    verdict_uuid VARCHAR(36),
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (instance_uuid)
);
INSERT INTO instance_fences VALUES('433aed4a-5d1d-438e-a8b3-32173c95c7cc',1,1,NULL,'2026-11-27 03:03:22.998121',NULL);
INSERT INTO instance_fences VALUES('538e8b87-7d0e-4ae2-a05c-868459c21574',1,1,NULL,'2026-11-27 03:03:23.046711',NULL);
CREATE TABLE verdicts (
    uuid VARCHAR(36) NOT NULL,
    body TEXT NOT NULL,
    asked TEXT,
    snapshot_uuid VARCHAR(36),
    created_at DATETIME,
    PRIMARY KEY (uuid)
);
CREATE TABLE host_snapshots (
    uuid VARCHAR(36) NOT NULL,
    generation BIGINT NOT NULL,
    body BLOB NOT NULL,
    created_at DATETIME,
    PRIMARY KEY (uuid)
);
CREATE TABLE outbox (
    id VARCHAR(36) NOT NULL,
    instance_uuid VARCHAR(36) NOT NULL,
    sequence BIGINT NOT NULL,
    operation VARCHAR(16) NOT NULL,
    host VARCHAR(255),
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before DATETIME,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_outbox0instance_uuid0sequence0operation UNIQUE (instance_uuid, sequence, operation)
);
CREATE INDEX instances_compute_id_deleted_idx ON instances (compute_id, deleted);
CREATE INDEX instances_deleted_created_at_uuid_idx ON instances (deleted, created_at, uuid);
CREATE INDEX instances_host_deleted_cleaned_idx ON instances (host, deleted, cleaned);
CREATE INDEX instances_host_node_deleted_idx ON instances (host, node, deleted);
CREATE INDEX instances_project_id_deleted_created_at_uuid_idx ON instances (project_id, deleted, created_at, uuid);
CREATE INDEX instances_reservation_id_idx ON instances (reservation_id);
CREATE INDEX instances_task_state_updated_at_idx ON instances (task_state, updated_at);
CREATE INDEX instances_terminated_at_launched_at_idx ON instances (terminated_at, launched_at);
CREATE INDEX instances_updated_at_project_id_idx ON instances (updated_at, project_id);
CREATE INDEX instance_extra_idx ON instance_extra (instance_uuid);
CREATE INDEX instance_faults_host_idx ON instance_faults (host);
CREATE INDEX instance_faults_instance_uuid_deleted_created_at_idx ON instance_faults (instance_uuid, deleted, created_at);
CREATE INDEX instance_actions_instance_uuid_updated_at_idx ON instance_actions (instance_uuid, updated_at);
CREATE INDEX instance_actions0instance_uuid_idx ON instance_actions (instance_uuid);
CREATE INDEX instance_actions0request_id_idx ON instance_actions (request_id);
CREATE INDEX instance_actions_events_action_id_idx ON instance_actions_events (action_id);
CREATE INDEX instance_metadata_instance_uuid_idx ON instance_metadata (instance_uuid);
CREATE INDEX instance_system_metadata0instance_uuid ON instance_system_metadata (instance_uuid);
CREATE INDEX security_group_instance_association_instance_uuid_idx ON security_group_instance_association (instance_uuid);
CREATE INDEX security_group_instance_association_security_group_id_idx ON security_group_instance_association (security_group_id);
CREATE INDEX block_device_mapping_instance_uuid_device_name_idx ON block_device_mapping (instance_uuid, device_name);
CREATE INDEX block_device_mapping_instance_uuid_idx ON block_device_mapping (instance_uuid);
CREATE INDEX block_device_mapping_instance_uuid_volume_id_idx ON block_device_mapping (instance_uuid, volume_id);
CREATE INDEX block_device_mapping0snapshot_id ON block_device_mapping (snapshot_id);
CREATE INDEX block_device_mapping0volume_id ON block_device_mapping (volume_id);
CREATE INDEX tags_tag_idx ON tags (tag);
CREATE INDEX outbox_not_before_idx ON outbox (not_before);
COMMIT;
