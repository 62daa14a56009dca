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
INSERT INTO instances VALUES('2026-11-27 03:03:23.017348','2026-11-27 03:03:23.023866',NULL,1,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,0,'error',512,1,'pair-1',NULL,NULL,'r-8b561052',NULL,NULL,'pair-1','pair-1',NULL,0,NULL,NULL,1,NULL,'379bc8f0-768c-42f0-9a5c-4b1c0097fa21',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,NULL,0,NULL,0,NULL,0,NULL);
INSERT INTO instances VALUES('2026-11-27 03:03:23.017348','2026-11-27 03:03:23.023866',NULL,2,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',1,NULL,NULL,0,'error',512,1,'pair-2',NULL,NULL,'r-8b561052',NULL,NULL,'pair-2','pair-2',NULL,0,NULL,NULL,1,NULL,'bed68710-0837-48a4-8f8f-14d2f46086cd',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,NULL,0,NULL,0,NULL,0,NULL);
INSERT INTO instances VALUES('2026-11-27 03:03:23.079335','2026-11-27 03:03:23.085523',NULL,4,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,0,'error',512,1,'waits',NULL,NULL,'r-1aa17634',NULL,NULL,'waits','waits',NULL,0,NULL,NULL,1,NULL,'ad2642d5-28c9-4c7c-b6af-e10f016831ed',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,NULL,0,NULL,0,NULL,0,NULL);
INSERT INTO instances VALUES('2026-11-27 03:03:23.104723','2026-11-27 03:03:23.108102',NULL,5,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,0,'error',9999999,9999,'huge',NULL,NULL,'r-141dab0a',NULL,NULL,'huge','huge',NULL,0,NULL,NULL,2,NULL,'0eebf1df-7fb4-40d2-98d9-cc8f457115c7',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,NULL,0,NULL,0,NULL,0,NULL);
INSERT INTO instances VALUES('2026-11-27 03:03:23.117277','2026-11-27 03:03:23.126052',NULL,6,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,0,'error',512,1,'zone',NULL,NULL,'r-83522995',NULL,NULL,'zone','zone','north',0,NULL,NULL,1,NULL,'a567d7b9-a16a-4753-af69-0ff6b793ca4c',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,NULL,0,NULL,0,NULL,0,NULL);
INSERT INTO instances VALUES('2026-11-27 03:03:23.056079','2026-11-27 03:03:23.152947',NULL,7,NULL,'user-a','project-a','70a599e0-31e7-49b7-b260-868f441e862b','','',0,NULL,NULL,0,'error',512,1,'web',NULL,NULL,'r-26ca2115',NULL,NULL,'web','web',NULL,0,NULL,NULL,1,NULL,'4db8d5d1-e770-4692-ab80-084414f3969d',NULL,'/dev/vda',NULL,NULL,'',NULL,NULL,NULL,0,1,0,0,1,0,NULL,NULL,0,NULL,0,NULL,0,NULL);
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
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.023866',NULL,NULL,0,1,'379bc8f0-768c-42f0-9a5c-4b1c0097fa21',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.023866',NULL,NULL,0,2,'bed68710-0837-48a4-8f8f-14d2f46086cd',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.085523',NULL,NULL,0,4,'ad2642d5-28c9-4c7c-b6af-e10f016831ed',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.108102',NULL,NULL,0,5,'0eebf1df-7fb4-40d2-98d9-cc8f457115c7',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"huge","id":2,"is_public":true,"memory_mb":9999999,"name":"flavor-huge","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":9999},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.126052',NULL,NULL,0,6,'a567d7b9-a16a-4753-af69-0ff6b793ca4c',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
INSERT INTO instance_extra VALUES('2026-11-27 03:03:23.152947',NULL,NULL,0,7,'4db8d5d1-e770-4692-ab80-084414f3969d',NULL,'[]','{"cur":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"new":null,"old":null}',NULL,NULL,'{"nova_object.data":{"objects":[]},"nova_object.name":"KeyPairList","nova_object.namespace":"nova","nova_object.version":"1.3"}',NULL,NULL,NULL,NULL);
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
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.023866',NULL,NULL,1,'[]','379bc8f0-768c-42f0-9a5c-4b1c0097fa21',0);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.023866',NULL,NULL,2,'[]','bed68710-0837-48a4-8f8f-14d2f46086cd',0);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.085523',NULL,NULL,4,'[]','ad2642d5-28c9-4c7c-b6af-e10f016831ed',0);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.108102',NULL,NULL,5,'[]','0eebf1df-7fb4-40d2-98d9-cc8f457115c7',0);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.126052',NULL,NULL,6,'[]','a567d7b9-a16a-4753-af69-0ff6b793ca4c',0);
INSERT INTO instance_info_caches VALUES('2026-11-27 03:03:23.152947',NULL,NULL,7,'[]','4db8d5d1-e770-4692-ab80-084414f3969d',0);
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
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.023866',NULL,NULL,1,'379bc8f0-768c-42f0-9a5c-4b1c0097fa21',500,'No valid host was found. Only 1 of at least 2 instances fit. 0/1 host can take it: 1 has too few vcpus.','No valid host was found. Only 1 of at least 2 instances fit. 0/1 host can take it: 1 has too few vcpus (best has 0 of 1). It would fit with at most 1 instances.','cellzero',0);
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.023866',NULL,NULL,2,'bed68710-0837-48a4-8f8f-14d2f46086cd',500,'No valid host was found. 0/1 host can take it: 1 has too few vcpus.','No valid host was found. 0/1 host can take it: 1 has too few vcpus (best has 0 of 1).','cellzero',0);
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.085523',NULL,NULL,4,'ad2642d5-28c9-4c7c-b6af-e10f016831ed',500,'No valid host was found. 0/1 host can take it: 1 has too few vcpus.','No valid host was found. 0/1 host can take it: 1 has too few vcpus (best has 0 of 1).','cellzero',0);
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.108102',NULL,NULL,5,'0eebf1df-7fb4-40d2-98d9-cc8f457115c7',500,'No valid host was found. 0/1 host can take it: 1 has too few vcpus.','No valid host was found. 0/1 host can take it: 1 has too few vcpus (best has 0 of 9,999).','cellzero',0);
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.126052',NULL,NULL,6,'a567d7b9-a16a-4753-af69-0ff6b793ca4c',500,'No valid host was found. 0/1 host can take it: 1 is in another availability zone.','No valid host was found. 0/1 host can take it: 1 is in another availability zone.','cellzero',0);
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.152947',NULL,NULL,7,'4db8d5d1-e770-4692-ab80-084414f3969d',500,'No valid host was found. 0/1 host can take it: 1 has too few vcpus.','No valid host was found. 0/1 host can take it: 1 has too few vcpus (best has 0 of 1).','cellzero',0);
INSERT INTO instance_faults VALUES('2026-11-27 03:03:23.060588',NULL,NULL,8,'4db8d5d1-e770-4692-ab80-084414f3969d',500,'No valid host was found. 0/1 host can take it: 1 has too few vcpus.','No valid host was found. 0/1 host can take it: 1 has too few vcpus (best has 0 of 1).','cellzero',0);
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
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.023866','2026-11-27 03:03:23.023866',NULL,1,'create','379bc8f0-768c-42f0-9a5c-4b1c0097fa21','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.017348','2026-11-27 03:03:23.023866','Error',0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.023866','2026-11-27 03:03:23.023866',NULL,2,'create','bed68710-0837-48a4-8f8f-14d2f46086cd','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.017348','2026-11-27 03:03:23.023866','Error',0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.085523','2026-11-27 03:03:23.085523',NULL,4,'create','ad2642d5-28c9-4c7c-b6af-e10f016831ed','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.079335','2026-11-27 03:03:23.085523','Error',0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.108102','2026-11-27 03:03:23.108102',NULL,5,'create','0eebf1df-7fb4-40d2-98d9-cc8f457115c7','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.104723','2026-11-27 03:03:23.108102','Error',0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.126052','2026-11-27 03:03:23.126052',NULL,6,'create','a567d7b9-a16a-4753-af69-0ff6b793ca4c','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.117277','2026-11-27 03:03:23.126052','Error',0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.152947','2026-11-27 03:03:23.152947',NULL,7,'retry','4db8d5d1-e770-4692-ab80-084414f3969d','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.056079','2026-11-27 03:03:23.152947','Error',0);
INSERT INTO instance_actions VALUES('2026-11-27 03:03:23.056079','2026-11-27 03:03:23.060588',NULL,8,'create','4db8d5d1-e770-4692-ab80-084414f3969d','req-519452a5-6bc1-4b84-b69d-012795a26d1f','user-a','project-a','2026-11-27 03:03:23.056079','2026-11-27 03:03:23.060588','Error',0);
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
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.023866','2026-11-27 03:03:23.023835',NULL,1,'conductor_schedule_and_build_instances',1,'2026-11-27 03:03:23.017348','2026-11-27 03:03:23.023835','Error',NULL,0,'cellzero','No valid host was found. Only 1 of at least 2 instances fit. 0/1 host can take it: 1 has too few vcpus.');
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.023866','2026-11-27 03:03:23.023835',NULL,2,'conductor_schedule_and_build_instances',2,'2026-11-27 03:03:23.017348','2026-11-27 03:03:23.023835','Error',NULL,0,'cellzero','No valid host was found. Only 1 of at least 2 instances fit. 0/1 host can take it: 1 has too few vcpus.');
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.085523','2026-11-27 03:03:23.085490',NULL,4,'conductor_schedule_and_build_instances',4,'2026-11-27 03:03:23.079335','2026-11-27 03:03:23.085490','Error',NULL,0,'cellzero','No valid host was found. 0/1 host can take it: 1 has too few vcpus.');
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.108102','2026-11-27 03:03:23.108044',NULL,5,'conductor_schedule_and_build_instances',5,'2026-11-27 03:03:23.104723','2026-11-27 03:03:23.108044','Error',NULL,0,'cellzero','No valid host was found. 0/1 host can take it: 1 has too few vcpus.');
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.126052','2026-11-27 03:03:23.126018',NULL,6,'conductor_schedule_and_build_instances',6,'2026-11-27 03:03:23.117277','2026-11-27 03:03:23.126018','Error',NULL,0,'cellzero','No valid host was found. 0/1 host can take it: 1 is in another availability zone.');
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.152947','2026-11-27 03:03:23.152366',NULL,7,'conductor_schedule_and_build_instances',7,'2026-11-27 03:03:23.056079','2026-11-27 03:03:23.152366','Error',NULL,0,'cellzero','No valid host was found. 0/1 host can take it: 1 has too few vcpus.');
INSERT INTO instance_actions_events VALUES('2026-11-27 03:03:23.056079',NULL,NULL,8,'conductor_schedule_and_build_instances',8,'2026-11-27 03:03:23.056079','2026-11-27 03:03:23.060525','Error',NULL,0,'cellzero','No valid host was found. 0/1 host can take it: 1 has too few vcpus.');
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
INSERT INTO instance_metadata VALUES('2026-11-27 03:03:23.152947',NULL,NULL,1,'role','web','4db8d5d1-e770-4692-ab80-084414f3969d',0);
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
INSERT INTO security_groups VALUES('2026-11-27 03:03:23.023866',NULL,NULL,1,'default','default','user-a','project-a',0);
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
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.023866',NULL,NULL,1,1,'379bc8f0-768c-42f0-9a5c-4b1c0097fa21',0);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.023866',NULL,NULL,2,1,'bed68710-0837-48a4-8f8f-14d2f46086cd',0);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.085523',NULL,NULL,4,1,'ad2642d5-28c9-4c7c-b6af-e10f016831ed',0);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.108102',NULL,NULL,5,1,'0eebf1df-7fb4-40d2-98d9-cc8f457115c7',0);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.126052',NULL,NULL,6,1,'a567d7b9-a16a-4753-af69-0ff6b793ca4c',0);
INSERT INTO security_group_instance_association VALUES('2026-11-27 03:03:23.152947',NULL,NULL,7,1,'4db8d5d1-e770-4692-ab80-084414f3969d',0);
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
INSERT INTO tags VALUES('4db8d5d1-e770-4692-ab80-084414f3969d','blue');
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
INSERT INTO database_identity VALUES(1,'cell','01a21af5-240d-7013-948a-6e52a955aa3c','00000000-0000-0000-0000-000000000000',1,1,'2026-11-27 03:03:22.933502','2026-11-27 03:03:22.935847');
CREATE TABLE instance_fences (
    instance_uuid VARCHAR(36) NOT NULL,
    fence BIGINT NOT NULL,
    written_epoch BIGINT,
    verdict_uuid VARCHAR(36),
    created_at DATETIME,
    updated_at DATETIME,
    PRIMARY KEY (instance_uuid)
);
INSERT INTO instance_fences VALUES('379bc8f0-768c-42f0-9a5c-4b1c0097fa21',1,1,'5cd96aa3-b2e0-84e9-9f74-7f57be295a22','2026-11-27 03:03:23.023866',NULL);
INSERT INTO instance_fences VALUES('bed68710-0837-48a4-8f8f-14d2f46086cd',1,1,'a3802d95-36d5-83b7-9e4f-b91df305421f','2026-11-27 03:03:23.023866',NULL);
INSERT INTO instance_fences VALUES('4db8d5d1-e770-4692-ab80-084414f3969d',3,3,NULL,'2026-11-27 03:03:23.060588','2026-11-27 03:03:23.162719');
INSERT INTO instance_fences VALUES('ad2642d5-28c9-4c7c-b6af-e10f016831ed',1,1,'a3802d95-36d5-83b7-9e4f-b91df305421f','2026-11-27 03:03:23.085523',NULL);
INSERT INTO instance_fences VALUES('0eebf1df-7fb4-40d2-98d9-cc8f457115c7',1,1,'ed212fbf-6eb7-867a-96f9-0a4c33a6a00c','2026-11-27 03:03:23.108102',NULL);
INSERT INTO instance_fences VALUES('a567d7b9-a16a-4753-af69-0ff6b793ca4c',1,1,'9f59a7eb-7fcf-8022-acac-31b25377118f','2026-11-27 03:03:23.126052',NULL);
CREATE TABLE verdicts (
    uuid VARCHAR(36) NOT NULL,
    body TEXT NOT NULL,
    asked TEXT,
    snapshot_uuid VARCHAR(36),
    created_at DATETIME,
    PRIMARY KEY (uuid)
);
INSERT INTO verdicts VALUES('5cd96aa3-b2e0-84e9-9f74-7f57be295a22','{"cells":[{"cell":"55059936-f382-4927-86f9-699872c530a9","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}]}],"code":"min_count_not_met","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"fit":1,"hosts":1,"min_count":2,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}],"suggestions":[{"changes":[{"at_most":1,"change":"count"}],"hosts":1}],"unasked":[]}','{"availability_zone":null,"flavor":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"force_host":null,"instances":2,"is_boot_from_volume":false,"min_count":2}','d8eed7b0-7546-8ee7-8974-72e972bde525','2026-11-27 03:03:23.023866');
INSERT INTO verdicts VALUES('a3802d95-36d5-83b7-9e4f-b91df305421f','{"cells":[{"cell":"55059936-f382-4927-86f9-699872c530a9","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}]}],"code":"no_valid_host","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}],"suggestions":[],"unasked":[]}','{"availability_zone":null,"flavor":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"force_host":null,"instances":2,"is_boot_from_volume":false,"min_count":null}','d8eed7b0-7546-8ee7-8974-72e972bde525','2026-11-27 03:03:23.023866');
INSERT INTO verdicts VALUES('ed212fbf-6eb7-867a-96f9-0a4c33a6a00c','{"cells":[{"cell":"55059936-f382-4927-86f9-699872c530a9","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":9999,"best":0,"host":"cell1-host1","missing":9999,"refusal":"vcpus"}]}],"code":"no_valid_host","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":9999,"best":0,"host":"cell1-host1","missing":9999,"refusal":"vcpus"}],"suggestions":[],"unasked":[]}','{"availability_zone":null,"flavor":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"huge","id":2,"is_public":true,"memory_mb":9999999,"name":"flavor-huge","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":9999},"force_host":null,"instances":1,"is_boot_from_volume":false,"min_count":null}','26aa8c37-247f-8538-ad38-7b8b3f0b7dd9','2026-11-27 03:03:23.108102');
INSERT INTO verdicts VALUES('9f59a7eb-7fcf-8022-acac-31b25377118f','{"cells":[{"cell":"55059936-f382-4927-86f9-699872c530a9","every":[{"hosts":1,"refusal":"availability_zone"},{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"availability_zone"}],"shortfalls":[]}],"code":"no_valid_host","every":[{"hosts":1,"refusal":"availability_zone"},{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"availability_zone"}],"shortfalls":[],"suggestions":[],"unasked":[]}','{"availability_zone":"north","flavor":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"force_host":null,"instances":1,"is_boot_from_volume":false,"min_count":null}','26aa8c37-247f-8538-ad38-7b8b3f0b7dd9','2026-11-27 03:03:23.126052');
CREATE TABLE host_snapshots (
    uuid VARCHAR(36) NOT NULL,
    generation BIGINT NOT NULL,
    body BLOB NOT NULL,
    created_at DATETIME,
    PRIMARY KEY (uuid)
);
INSERT INTO host_snapshots VALUES('d8eed7b0-7546-8ee7-8974-72e972bde525',1,X'78017451d16ec2300cfc173fa7525228907ec7de108a4ceb7611698292b48c21fe7d0e9bd0d034290fb67577be736ef01e524ed0eebf2b68a123e75455c60a04f8d0d39f6181f0b06964a3f56a530dab5d5dad75bdad769b41571bad77dbba6b5612354b383bd90ced0d96ee3cf3aa5ac044538857331da155b25e0be86d3a9991db5ade05cc89fa5f04f54268140b3cf18ae139a27d643808481417db9161001e5d9119d025123084d8516ffa70f1d0fecc1ca66c129137f399f328bd959554fcdea46c1f8fed8fe42962b68179ec04c731d2889938c9fe70e795b3c7742a9bf6dc8c31142d3f3b27209c0b8d8137bee3e5df0d4fcfeccde0902996f0893a66aea414e0d107aecb697a1a7076d9e082d6e1d13a9bafe633f8f2493e2cc886d1b1822f0ecd841fd0d67ca29710f72f000000ffff030064ff9f58','2026-11-27 03:03:23.023866');
INSERT INTO host_snapshots VALUES('26aa8c37-247f-8538-ad38-7b8b3f0b7dd9',1,X'78018c515d6ac3300cbe8b9e1d7092a6ad7d8ebd9562d444c94c1dbbd84ebaaef4ee93bb31186330f08324f4fdc977780d2927d087cf0a34f4e45c5d95710d027c18e8d7b0acf0b0eb64a754bbadc676df541bd5ecaafd7654d556a9fdaee9bb56a2620a67679b41df61ed2f0b4b3502669a43bc99f904ba96cd46c060d3d94cdc36f221604934fc1bc0fb39a27d86380a481457db9361463cb9c233a24b24600cb1a7c10ce1ea417fcd1ca66c129137cb8503d56a272b59f37b91523f1ffb9fc853c46c03e36a01384d9126ccc4510ec7074b2e1ed3b9281db89962285c7e714e40b814182fdef990d73f15be3db3378363a658d227ea19d94a29c0a30f5c97db0c34e2e2b2c115adc3937536dfcc7bf0e5977c58910da363065f1c9a19df40377ca21f211e1f000000ffff0300d87e9f89','2026-11-27 03:03:23.108102');
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
