PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE __diesel_schema_migrations (
       version VARCHAR(50) PRIMARY KEY NOT NULL,
       run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO __diesel_schema_migrations VALUES('20261124000001','2026-11-27 03:03:22');
INSERT INTO __diesel_schema_migrations VALUES('20261124000002','2026-11-27 03:03:22');
CREATE TABLE cell_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    transport_url TEXT,
    database_connection TEXT,
    disabled BOOLEAN,
    CONSTRAINT uniq_cell_mappings0uuid UNIQUE (uuid)
);
INSERT INTO cell_mappings VALUES('2026-11-27 03:03:22.949010',NULL,1,'00000000-0000-0000-0000-000000000000','cell0','none:///','cell0.db',0);
INSERT INTO cell_mappings VALUES('2026-11-27 03:03:22.968761',NULL,2,'55059936-f382-4927-86f9-699872c530a9','cell1','none:///','cell1.db',0);
CREATE TABLE instance_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    cell_id INTEGER,
    project_id VARCHAR(255) NOT NULL,
    queued_for_delete BOOLEAN,
    user_id VARCHAR(255),
    CONSTRAINT uniq_instance_mappings0instance_uuid UNIQUE (instance_uuid),
    CONSTRAINT fk_instance_mappings0cell_id FOREIGN KEY (cell_id) REFERENCES cell_mappings (id)
);
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:22.993168','2026-11-27 03:03:23.000574',1,'433aed4a-5d1d-438e-a8b3-32173c95c7cc',2,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.017348','2026-11-27 03:03:23.036078',2,'379bc8f0-768c-42f0-9a5c-4b1c0097fa21',1,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.017348','2026-11-27 03:03:23.036078',3,'bed68710-0837-48a4-8f8f-14d2f46086cd',1,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.040157','2026-11-27 03:03:23.048635',4,'538e8b87-7d0e-4ae2-a05c-868459c21574',2,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.056079','2026-11-27 03:03:23.156625',5,'4db8d5d1-e770-4692-ab80-084414f3969d',1,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.079335','2026-11-27 03:03:23.087886',6,'ad2642d5-28c9-4c7c-b6af-e10f016831ed',1,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.104723','2026-11-27 03:03:23.111975',7,'0eebf1df-7fb4-40d2-98d9-cc8f457115c7',1,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.117277','2026-11-27 03:03:23.129017',8,'a567d7b9-a16a-4753-af69-0ff6b793ca4c',1,'project-a',0,'user-a');
INSERT INTO instance_mappings VALUES('2026-11-27 03:03:23.166128',NULL,9,'ada11778-533a-4a24-9a73-ac0580081cb0',NULL,'project-a',0,'user-a');
CREATE TABLE host_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    cell_id INTEGER NOT NULL,
    host VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_host_mappings0host UNIQUE (host),
    CONSTRAINT fk_host_mappings0cell_id FOREIGN KEY (cell_id) REFERENCES cell_mappings (id)
);
INSERT INTO host_mappings VALUES('2026-11-27 03:03:22.991348',NULL,1,2,'cell1-host1');
CREATE TABLE build_requests (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    project_id VARCHAR(255) NOT NULL,
    instance_uuid VARCHAR(36),
    instance TEXT,
    block_device_mappings TEXT,
    tags TEXT,
    CONSTRAINT uniq_build_requests0instance_uuid UNIQUE (instance_uuid)
);
INSERT INTO build_requests VALUES('2026-11-27 03:03:23.166128',NULL,1,'project-a','ada11778-533a-4a24-9a73-ac0580081cb0','{"nova_object.data":{"access_ip_v4":null,"access_ip_v6":null,"auto_disk_config":true,"availability_zone":null,"config_drive":"","display_description":"building","display_name":"building","ephemeral_gb":0,"flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"huge","id":2,"is_public":true,"memory_mb":9999999,"name":"flavor-huge","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":9999},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"hostname":"building","image_ref":"70a599e0-31e7-49b7-b260-868f441e862b","info_cache":{"nova_object.data":{"instance_uuid":"ada11778-533a-4a24-9a73-ac0580081cb0","network_info":"[]"},"nova_object.name":"InstanceInfoCache","nova_object.namespace":"nova","nova_object.version":"1.5"},"instance_type_id":2,"kernel_id":"","key_data":null,"key_name":null,"launch_index":0,"locked":false,"memory_mb":9999999,"metadata":{},"power_state":0,"progress":0,"project_id":"project-a","ramdisk_id":"","reservation_id":"r-e972d7ec","root_device_name":"/dev/vda","root_gb":1,"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"shutdown_terminate":false,"system_metadata":{},"task_state":"scheduling","user_data":null,"user_id":"user-a","uuid":"ada11778-533a-4a24-9a73-ac0580081cb0","vcpus":9999,"vm_state":"building"},"nova_object.name":"Instance","nova_object.namespace":"nova","nova_object.version":"2.8"}','{"nova_object.data":{"objects":[]},"nova_object.name":"BlockDeviceMappingList","nova_object.namespace":"nova","nova_object.version":"1.18"}','{"nova_object.data":{"objects":[]},"nova_object.name":"TagList","nova_object.namespace":"nova","nova_object.version":"1.1"}');
CREATE TABLE request_specs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(36) NOT NULL,
    spec TEXT NOT NULL,
    CONSTRAINT uniq_request_specs0instance_uuid UNIQUE (instance_uuid)
);
INSERT INTO request_specs VALUES('2026-11-27 03:03:22.993168',NULL,1,'433aed4a-5d1d-438e-a8b3-32173c95c7cc','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"433aed4a-5d1d-438e-a8b3-32173c95c7cc","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.017348',NULL,2,'379bc8f0-768c-42f0-9a5c-4b1c0097fa21','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"379bc8f0-768c-42f0-9a5c-4b1c0097fa21","is_bfv":false,"limits":null,"num_instances":2,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.017348',NULL,3,'bed68710-0837-48a4-8f8f-14d2f46086cd','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"bed68710-0837-48a4-8f8f-14d2f46086cd","is_bfv":false,"limits":null,"num_instances":2,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.040157',NULL,4,'538e8b87-7d0e-4ae2-a05c-868459c21574','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"538e8b87-7d0e-4ae2-a05c-868459c21574","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.056079',NULL,5,'4db8d5d1-e770-4692-ab80-084414f3969d','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"4db8d5d1-e770-4692-ab80-084414f3969d","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.079335',NULL,6,'ad2642d5-28c9-4c7c-b6af-e10f016831ed','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":true,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"ad2642d5-28c9-4c7c-b6af-e10f016831ed","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.104723',NULL,7,'0eebf1df-7fb4-40d2-98d9-cc8f457115c7','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"huge","id":2,"is_public":true,"memory_mb":9999999,"name":"flavor-huge","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":9999},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"0eebf1df-7fb4-40d2-98d9-cc8f457115c7","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.117277',NULL,8,'a567d7b9-a16a-4753-af69-0ff6b793ca4c','{"nova_object.data":{"availability_zone":"north","cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"1","id":1,"is_public":true,"memory_mb":512,"name":"flavor-1","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":1},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"a567d7b9-a16a-4753-af69-0ff6b793ca4c","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
INSERT INTO request_specs VALUES('2026-11-27 03:03:23.166128',NULL,9,'ada11778-533a-4a24-9a73-ac0580081cb0','{"nova_object.data":{"availability_zone":null,"cellzero.auto_retry":false,"cellzero.networks":"Auto","cellzero.request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","flavor":{"nova_object.data":{"created_at":"2026-11-27T03:03:22Z","description":null,"disabled":false,"ephemeral_gb":0,"extra_specs":{},"flavorid":"huge","id":2,"is_public":true,"memory_mb":9999999,"name":"flavor-huge","root_gb":1,"rxtx_factor":1.0,"swap":0,"vcpu_weight":0,"vcpus":9999},"nova_object.name":"Flavor","nova_object.namespace":"nova","nova_object.version":"1.2"},"force_hosts":null,"image":{"nova_object.data":{"id":"70a599e0-31e7-49b7-b260-868f441e862b"},"nova_object.name":"ImageMeta","nova_object.namespace":"nova","nova_object.version":"1.8"},"instance_group":null,"instance_uuid":"ada11778-533a-4a24-9a73-ac0580081cb0","is_bfv":false,"limits":null,"num_instances":1,"project_id":"project-a","scheduler_hints":{},"security_groups":{"nova_object.data":{"objects":[{"nova_object.data":{"name":"default"},"nova_object.name":"SecurityGroup","nova_object.namespace":"nova","nova_object.version":"1.2"}]},"nova_object.name":"SecurityGroupList","nova_object.namespace":"nova","nova_object.version":"1.1"},"user_id":"user-a"},"nova_object.name":"RequestSpec","nova_object.namespace":"nova","nova_object.version":"1.15"}');
CREATE TABLE flavors (
    created_at DATETIME,
    updated_at DATETIME,
    name VARCHAR(255) NOT NULL,
    id INTEGER NOT NULL PRIMARY KEY,
    memory_mb INTEGER NOT NULL,
    vcpus INTEGER NOT NULL,
    swap INTEGER NOT NULL,
    vcpu_weight INTEGER,
    flavorid VARCHAR(255) NOT NULL,
    rxtx_factor FLOAT,
    root_gb INTEGER,
    ephemeral_gb INTEGER,
    disabled BOOLEAN,
    is_public BOOLEAN,
    description TEXT,
    CONSTRAINT uniq_flavors0flavorid UNIQUE (flavorid),
    CONSTRAINT uniq_flavors0name UNIQUE (name)
);
INSERT INTO flavors VALUES('2026-11-27 03:03:22.971841',NULL,'flavor-1',1,512,1,0,0,'1',1.0,1,0,0,1,NULL);
INSERT INTO flavors VALUES('2026-11-27 03:03:22.974227',NULL,'flavor-huge',2,9999999,9999,0,0,'huge',1.0,1,0,0,1,NULL);
CREATE TABLE flavor_extra_specs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    flavor_id INTEGER NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    CONSTRAINT uniq_flavor_extra_specs0flavor_id0key UNIQUE (flavor_id, "key"),
    CONSTRAINT fk_flavor_extra_specs0flavor_id FOREIGN KEY (flavor_id) REFERENCES flavors (id)
);
CREATE TABLE flavor_projects (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    flavor_id INTEGER NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_flavor_projects0flavor_id0project_id UNIQUE (flavor_id, project_id),
    CONSTRAINT fk_flavor_projects0flavor_id FOREIGN KEY (flavor_id) REFERENCES flavors (id)
);
CREATE TABLE quotas (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME,
    updated_at DATETIME,
    project_id VARCHAR(255),
    resource VARCHAR(255) NOT NULL,
    hard_limit INTEGER,
    CONSTRAINT uniq_quotas0project_id0resource UNIQUE (project_id, resource)
);
CREATE TABLE project_user_quotas (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME,
    updated_at DATETIME,
    user_id VARCHAR(255) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    resource VARCHAR(255) NOT NULL,
    hard_limit INTEGER,
    CONSTRAINT uniq_project_user_quotas0user_id0project_id0resource UNIQUE (user_id, project_id, resource)
);
CREATE TABLE quota_classes (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    class_name VARCHAR(255),
    resource VARCHAR(255),
    hard_limit INTEGER
);
CREATE TABLE aggregates (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    uuid VARCHAR(36),
    name VARCHAR(255),
    CONSTRAINT uniq_aggregate0name UNIQUE (name)
);
CREATE TABLE aggregate_hosts (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    host VARCHAR(255),
    aggregate_id INTEGER NOT NULL,
    CONSTRAINT uniq_aggregate_hosts0host0aggregate_id UNIQUE (host, aggregate_id),
    CONSTRAINT fk_aggregate_hosts0aggregate_id FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
);
CREATE TABLE aggregate_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    aggregate_id INTEGER NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    CONSTRAINT uniq_aggregate_metadata0aggregate_id0key UNIQUE (aggregate_id, "key"),
    CONSTRAINT fk_aggregate_metadata0aggregate_id FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
);
CREATE TABLE instance_groups (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    CONSTRAINT uniq_instance_groups0uuid UNIQUE (uuid)
);
CREATE TABLE instance_group_member (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    instance_uuid VARCHAR(255),
    group_id INTEGER NOT NULL,
    CONSTRAINT fk_instance_group_member0group_id FOREIGN KEY (group_id) REFERENCES instance_groups (id)
);
CREATE TABLE instance_group_policy (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    policy VARCHAR(255),
    group_id INTEGER NOT NULL,
    rules TEXT,
    CONSTRAINT fk_instance_group_policy0group_id FOREIGN KEY (group_id) REFERENCES instance_groups (id)
);
CREATE TABLE key_pairs (
    created_at DATETIME,
    updated_at DATETIME,
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    user_id VARCHAR(255) NOT NULL,
    fingerprint VARCHAR(255),
    public_key TEXT,
    "type" VARCHAR(4) NOT NULL DEFAULT 'ssh',
    CONSTRAINT uniq_key_pairs0user_id0name UNIQUE (user_id, name)
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
INSERT INTO database_identity VALUES(1,'api','01a21af5-240d-7013-948a-6e52a955aa3c',NULL,1,1,'2026-11-27 03:03:22.889785','2026-11-27 03:03:22.897540');
CREATE TABLE boot_states (
    instance_uuid VARCHAR(36) NOT NULL,
    group_uuid VARCHAR(36) NOT NULL,
    group_index INTEGER NOT NULL,
    group_min INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    decided_epoch BIGINT,
    owner VARCHAR(36),
    lease_until DATETIME,
    not_before DATETIME,
    attempts INTEGER NOT NULL,
    placements INTEGER NOT NULL,
    excluded_cells TEXT,
    request_version BIGINT NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    display_name VARCHAR(255),
    image_ref VARCHAR(255),
    instance_type_id INTEGER,
    availability_zone VARCHAR(255),
    key_name VARCHAR(255),
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    PRIMARY KEY (instance_uuid)
);
INSERT INTO boot_states VALUES('433aed4a-5d1d-438e-a8b3-32173c95c7cc','01a21af5-2470-77c4-a34a-8c99c7aaa9ad',0,1,1,1,NULL,NULL,NULL,0,0,NULL,1,1,512,'lives','70a599e0-31e7-49b7-b260-868f441e862b',1,NULL,NULL,'2026-11-27 03:03:22.993168','2026-11-27 03:03:23.000574');
INSERT INTO boot_states VALUES('379bc8f0-768c-42f0-9a5c-4b1c0097fa21','01a21af5-2489-77ca-ad4f-8fe48b561052',0,2,1,1,NULL,NULL,NULL,0,0,NULL,1,1,512,'pair-1','70a599e0-31e7-49b7-b260-868f441e862b',1,NULL,NULL,'2026-11-27 03:03:23.017348','2026-11-27 03:03:23.036078');
INSERT INTO boot_states VALUES('bed68710-0837-48a4-8f8f-14d2f46086cd','01a21af5-2489-77ca-ad4f-8fe48b561052',1,2,1,1,NULL,NULL,NULL,0,0,NULL,1,1,512,'pair-2','70a599e0-31e7-49b7-b260-868f441e862b',1,NULL,NULL,'2026-11-27 03:03:23.017348','2026-11-27 03:03:23.036078');
INSERT INTO boot_states VALUES('538e8b87-7d0e-4ae2-a05c-868459c21574','01a21af5-24a0-72e9-bf16-e3d9691885f1',0,1,1,1,NULL,NULL,NULL,0,0,NULL,1,1,512,'second','70a599e0-31e7-49b7-b260-868f441e862b',1,NULL,NULL,'2026-11-27 03:03:23.040157','2026-11-27 03:03:23.048635');
INSERT INTO boot_states VALUES('4db8d5d1-e770-4692-ab80-084414f3969d','01a21af5-24af-759b-a512-23e226ca2115',0,1,3,3,NULL,NULL,NULL,0,0,NULL,1,1,512,'web','70a599e0-31e7-49b7-b260-868f441e862b',1,NULL,NULL,'2026-11-27 03:03:23.056079','2026-11-27 03:03:23.156625');
INSERT INTO boot_states VALUES('ad2642d5-28c9-4c7c-b6af-e10f016831ed','01a21af5-24c7-7078-a365-898e1aa17634',0,1,1,1,NULL,NULL,NULL,0,0,NULL,1,1,512,'waits','70a599e0-31e7-49b7-b260-868f441e862b',1,NULL,NULL,'2026-11-27 03:03:23.079335','2026-11-27 03:03:23.087886');
INSERT INTO boot_states VALUES('0eebf1df-7fb4-40d2-98d9-cc8f457115c7','01a21af5-24e0-76fa-9dd4-cd55141dab0a',0,1,1,1,NULL,NULL,NULL,0,0,NULL,1,9999,9999999,'huge','70a599e0-31e7-49b7-b260-868f441e862b',2,NULL,NULL,'2026-11-27 03:03:23.104723','2026-11-27 03:03:23.111975');
INSERT INTO boot_states VALUES('a567d7b9-a16a-4753-af69-0ff6b793ca4c','01a21af5-24ed-7529-8c66-b94b83522995',0,1,1,1,NULL,NULL,NULL,0,0,NULL,1,1,512,'zone','70a599e0-31e7-49b7-b260-868f441e862b',1,'north',NULL,'2026-11-27 03:03:23.117277','2026-11-27 03:03:23.129017');
INSERT INTO boot_states VALUES('ada11778-533a-4a24-9a73-ac0580081cb0','01a21af5-251e-767d-8c52-dc0ee972d7ec',0,1,1,NULL,'01a21af5-2421-74d0-a758-e9b78f54aacd','2026-11-27 03:04:23.166128',NULL,0,0,NULL,1,9999,9999999,'building','70a599e0-31e7-49b7-b260-868f441e862b',2,NULL,NULL,'2026-11-27 03:03:23.166128',NULL);
CREATE TABLE boot_intents (
    instance_uuid VARCHAR(36) NOT NULL,
    epoch BIGINT NOT NULL,
    cell_uuid VARCHAR(36) NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (instance_uuid, epoch)
);
CREATE TABLE boot_groups (
    uuid VARCHAR(36) NOT NULL,
    min_count_met BOOLEAN NOT NULL,
    verdict TEXT,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    PRIMARY KEY (uuid)
);
INSERT INTO boot_groups VALUES('01a21af5-2489-77ca-ad4f-8fe48b561052',0,'{"cells":[{"cell":"55059936-f382-4927-86f9-699872c530a9","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}]}],"code":"min_count_not_met","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"fit":1,"hosts":1,"min_count":2,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}],"suggestions":[{"changes":[{"at_most":1,"change":"count"}],"hosts":1}],"unasked":[]}','2026-11-27 03:03:23.022105',NULL);
CREATE TABLE client_tokens (
    project_id VARCHAR(255) NOT NULL,
    token VARCHAR(255) NOT NULL,
    group_uuid VARCHAR(36) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (project_id, token)
);
CREATE TABLE claims (
    instance_uuid VARCHAR(36) NOT NULL,
    epoch BIGINT NOT NULL,
    host VARCHAR(255) NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    disk_gb INTEGER NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (instance_uuid)
);
INSERT INTO claims VALUES('433aed4a-5d1d-438e-a8b3-32173c95c7cc',1,'cell1-host1',1,512,1,'2026-11-27 03:03:22.996581');
INSERT INTO claims VALUES('538e8b87-7d0e-4ae2-a05c-868459c21574',1,'cell1-host1',1,512,1,'2026-11-27 03:03:23.044074');
CREATE TABLE host_capacity (
    host VARCHAR(255) NOT NULL,
    node VARCHAR(255) NOT NULL,
    cell_uuid VARCHAR(36) NOT NULL,
    vcpus_limit INTEGER NOT NULL,
    memory_mb_limit INTEGER NOT NULL,
    disk_gb_limit INTEGER NOT NULL,
    vcpus_used INTEGER NOT NULL,
    memory_mb_used INTEGER NOT NULL,
    disk_gb_used INTEGER NOT NULL,
    traits TEXT NOT NULL,
    service_disabled BOOLEAN NOT NULL,
    forced_down BOOLEAN NOT NULL,
    last_seen_up DATETIME,
    generation BIGINT NOT NULL,
    served_generation BIGINT NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    PRIMARY KEY (host)
);
INSERT INTO host_capacity VALUES('cell1-host1','cell1-host1','55059936-f382-4927-86f9-699872c530a9',2,1024,20,2,1024,2,'[]',0,0,'2026-11-27 03:03:22.991348',1,1,'2026-11-27 03:03:22.991348','2026-11-27 03:03:23.044074');
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
CREATE TABLE quota_locks (
    project_id VARCHAR(255) NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (project_id)
);
CREATE TABLE counters (
    name VARCHAR(64) NOT NULL,
    value BIGINT NOT NULL,
    PRIMARY KEY (name)
);
INSERT INTO counters VALUES('retries',1);
CREATE TABLE retries (
    sequence BIGINT NOT NULL,
    instance_uuid VARCHAR(36) NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (sequence)
);
INSERT INTO retries VALUES(1,'4db8d5d1-e770-4692-ab80-084414f3969d','2026-11-27 03:03:23.139733');
CREATE TABLE boot_histories (
    instance_uuid VARCHAR(36) NOT NULL,
    request_id VARCHAR(255) NOT NULL,
    history TEXT NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (instance_uuid)
);
INSERT INTO boot_histories VALUES('4db8d5d1-e770-4692-ab80-084414f3969d','req-519452a5-6bc1-4b84-b69d-012795a26d1f','{"actions":[{"action":"create","events":[{"details":"No valid host was found. 0/1 host can take it: 1 has too few vcpus.","event":"conductor_schedule_and_build_instances","finish_time":"2026-11-27T03:03:23.060525","host":"cellzero","result":"Error","start_time":"2026-11-27T03:03:23.056079"}],"finish_time":"2026-11-27T03:03:23.060588","message":"Error","project_id":"project-a","request_id":"req-519452a5-6bc1-4b84-b69d-012795a26d1f","start_time":"2026-11-27T03:03:23.056079","user_id":"user-a"}],"faults":[{"code":500,"created_at":"2026-11-27T03:03:23.060588","details":"No valid host was found. 0/1 host can take it: 1 has too few vcpus (best has 0 of 1).","host":"cellzero","message":"No valid host was found. 0/1 host can take it: 1 has too few vcpus."}],"verdicts":[{"cells":[{"cell":"55059936-f382-4927-86f9-699872c530a9","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}]}],"code":"no_valid_host","every":[{"hosts":1,"refusal":"vcpus"},{"hosts":1,"refusal":"memory"}],"hosts":1,"primary":[{"hosts":1,"refusal":"vcpus"}],"shortfalls":[{"asked":1,"best":0,"host":"cell1-host1","missing":1,"refusal":"vcpus"}],"suggestions":[],"unasked":[]}]}','2026-11-27 03:03:23.139733');
CREATE TABLE waiting_classes (
    uuid VARCHAR(36) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mb INTEGER NOT NULL,
    disk_gb INTEGER NOT NULL,
    served_at DATETIME NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (uuid)
);
INSERT INTO waiting_classes VALUES('e79330b1-b495-8aa7-bbde-3e5b57eb651b','project-a',1,512,1,'2026-11-27 03:03:23.087886','2026-11-27 03:03:23.087886');
CREATE TABLE waiting_instances (
    instance_uuid VARCHAR(36) NOT NULL,
    class_uuid VARCHAR(36) NOT NULL,
    state VARCHAR(16) NOT NULL,
    version BIGINT NOT NULL,
    attempts INTEGER NOT NULL,
    not_before DATETIME,
    expires_at DATETIME NOT NULL,
    created_at DATETIME NOT NULL,
    updated_at DATETIME,
    PRIMARY KEY (instance_uuid)
);
INSERT INTO waiting_instances VALUES('ad2642d5-28c9-4c7c-b6af-e10f016831ed','e79330b1-b495-8aa7-bbde-3e5b57eb651b','asleep',2,0,NULL,'2126-11-03 03:03:23.087886','2026-11-27 03:03:23.087886','2026-11-27 03:03:23.097088');
CREATE INDEX instance_mappings_user_id_project_id_idx ON instance_mappings (user_id, project_id);
CREATE INDEX instance_mappings_project_created_idx ON instance_mappings (project_id, queued_for_delete, created_at, instance_uuid);
CREATE INDEX instance_mappings_created_idx ON instance_mappings (queued_for_delete, created_at, instance_uuid);
CREATE INDEX instance_mappings_cell_id_project_id_idx ON instance_mappings (cell_id, project_id);
CREATE INDEX host_mappings_cell_id_idx ON host_mappings (cell_id);
CREATE INDEX build_requests_project_id_idx ON build_requests (project_id);
CREATE INDEX project_user_quotas_project_id_idx ON project_user_quotas (project_id);
CREATE INDEX project_user_quotas_user_id_idx ON project_user_quotas (user_id);
CREATE INDEX quota_classes_class_name_idx ON quota_classes (class_name);
CREATE INDEX aggregates0aggregate_uuid_idx ON aggregates (uuid);
CREATE INDEX aggregate_hosts_aggregate_id_idx ON aggregate_hosts (aggregate_id);
CREATE INDEX aggregate_metadata_key_idx ON aggregate_metadata ("key");
CREATE INDEX instance_group_member_instance_idx ON instance_group_member (instance_uuid);
CREATE INDEX instance_group_member_group_id_idx ON instance_group_member (group_id);
CREATE INDEX instance_group_policy_policy_idx ON instance_group_policy (policy);
CREATE INDEX instance_group_policy_group_id_idx ON instance_group_policy (group_id);
CREATE INDEX boot_states_group_uuid_idx ON boot_states (group_uuid);
CREATE INDEX boot_states_owner_idx ON boot_states (owner);
CREATE INDEX boot_intents_cell_uuid_idx ON boot_intents (cell_uuid);
CREATE INDEX claims_host_idx ON claims (host);
CREATE INDEX host_capacity_cell_uuid_idx ON host_capacity (cell_uuid);
CREATE INDEX outbox_not_before_idx ON outbox (not_before);
CREATE INDEX waiting_classes_served_at_idx ON waiting_classes (served_at);
CREATE INDEX waiting_classes_project_id_idx ON waiting_classes (project_id);
CREATE INDEX waiting_instances_class_uuid_state_created_at_idx ON waiting_instances (class_uuid, state, created_at);
CREATE INDEX waiting_instances_state_not_before_idx ON waiting_instances (state, not_before);
CREATE INDEX waiting_instances_expires_at_idx ON waiting_instances (expires_at);
COMMIT;
