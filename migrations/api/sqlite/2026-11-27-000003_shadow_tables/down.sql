DROP TABLE IF EXISTS shadow_boot_histories;
DROP TABLE IF EXISTS shadow_request_specs;
DROP TABLE IF EXISTS shadow_instance_mappings;
