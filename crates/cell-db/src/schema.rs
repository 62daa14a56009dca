//! The tables as the migrations make them; a test compares both.
#![allow(missing_docs, unreachable_pub)]

diesel::table! {
    instances (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        internal_id -> Nullable<Integer>,
        user_id -> Nullable<Text>,
        project_id -> Nullable<Text>,
        image_ref -> Nullable<Text>,
        kernel_id -> Nullable<Text>,
        ramdisk_id -> Nullable<Text>,
        launch_index -> Nullable<Integer>,
        key_name -> Nullable<Text>,
        key_data -> Nullable<Text>,
        power_state -> Nullable<Integer>,
        vm_state -> Nullable<Text>,
        memory_mb -> Nullable<Integer>,
        vcpus -> Nullable<Integer>,
        hostname -> Nullable<Text>,
        host -> Nullable<Text>,
        user_data -> Nullable<Text>,
        reservation_id -> Nullable<Text>,
        launched_at -> Nullable<Timestamp>,
        terminated_at -> Nullable<Timestamp>,
        display_name -> Nullable<Text>,
        display_description -> Nullable<Text>,
        availability_zone -> Nullable<Text>,
        locked -> Nullable<Bool>,
        os_type -> Nullable<Text>,
        launched_on -> Nullable<Text>,
        instance_type_id -> Nullable<Integer>,
        vm_mode -> Nullable<Text>,
        uuid -> Text,
        architecture -> Nullable<Text>,
        root_device_name -> Nullable<Text>,
        access_ip_v4 -> Nullable<Text>,
        access_ip_v6 -> Nullable<Text>,
        config_drive -> Nullable<Text>,
        task_state -> Nullable<Text>,
        default_ephemeral_device -> Nullable<Text>,
        default_swap_device -> Nullable<Text>,
        progress -> Nullable<Integer>,
        auto_disk_config -> Nullable<Bool>,
        shutdown_terminate -> Nullable<Bool>,
        disable_terminate -> Nullable<Bool>,
        root_gb -> Nullable<Integer>,
        ephemeral_gb -> Nullable<Integer>,
        cell_name -> Nullable<Text>,
        node -> Nullable<Text>,
        deleted -> Nullable<Integer>,
        locked_by -> Nullable<Text>,
        cleaned -> Nullable<Integer>,
        ephemeral_key_uuid -> Nullable<Text>,
        hidden -> Nullable<Bool>,
        compute_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    instance_extra (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        deleted -> Nullable<Integer>,
        id -> Integer,
        instance_uuid -> Text,
        numa_topology -> Nullable<Text>,
        pci_requests -> Nullable<Text>,
        flavor -> Nullable<Text>,
        vcpu_model -> Nullable<Text>,
        migration_context -> Nullable<Text>,
        keypairs -> Nullable<Text>,
        device_metadata -> Nullable<Text>,
        trusted_certs -> Nullable<Text>,
        vpmems -> Nullable<Text>,
        resources -> Nullable<Text>,
    }
}

diesel::table! {
    instance_info_caches (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        network_info -> Nullable<Text>,
        instance_uuid -> Text,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    instance_faults (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        instance_uuid -> Nullable<Text>,
        code -> Integer,
        message -> Nullable<Text>,
        details -> Nullable<Text>,
        host -> Nullable<Text>,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    instance_actions (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        action -> Nullable<Text>,
        instance_uuid -> Nullable<Text>,
        request_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        project_id -> Nullable<Text>,
        start_time -> Nullable<Timestamp>,
        finish_time -> Nullable<Timestamp>,
        message -> Nullable<Text>,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    instance_actions_events (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        event -> Nullable<Text>,
        action_id -> Nullable<Integer>,
        start_time -> Nullable<Timestamp>,
        finish_time -> Nullable<Timestamp>,
        result -> Nullable<Text>,
        traceback -> Nullable<Text>,
        deleted -> Nullable<Integer>,
        host -> Nullable<Text>,
        details -> Nullable<Text>,
    }
}

diesel::table! {
    instance_metadata (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        key -> Nullable<Text>,
        value -> Nullable<Text>,
        instance_uuid -> Nullable<Text>,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    instance_system_metadata (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        instance_uuid -> Text,
        key -> Text,
        value -> Nullable<Text>,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    security_groups (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        name -> Nullable<Text>,
        description -> Nullable<Text>,
        user_id -> Nullable<Text>,
        project_id -> Nullable<Text>,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    security_group_instance_association (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        security_group_id -> Nullable<Integer>,
        instance_uuid -> Nullable<Text>,
        deleted -> Nullable<Integer>,
    }
}

diesel::table! {
    block_device_mapping (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        device_name -> Nullable<Text>,
        delete_on_termination -> Nullable<Bool>,
        snapshot_id -> Nullable<Text>,
        volume_id -> Nullable<Text>,
        volume_size -> Nullable<Integer>,
        no_device -> Nullable<Bool>,
        connection_info -> Nullable<Text>,
        instance_uuid -> Nullable<Text>,
        deleted -> Nullable<Integer>,
        source_type -> Nullable<Text>,
        destination_type -> Nullable<Text>,
        guest_format -> Nullable<Text>,
        device_type -> Nullable<Text>,
        disk_bus -> Nullable<Text>,
        boot_index -> Nullable<Integer>,
        image_id -> Nullable<Text>,
        tag -> Nullable<Text>,
        attachment_id -> Nullable<Text>,
        uuid -> Nullable<Text>,
        volume_type -> Nullable<Text>,
        encrypted -> Nullable<Bool>,
        encryption_secret_uuid -> Nullable<Text>,
        encryption_format -> Nullable<Text>,
        encryption_options -> Nullable<Text>,
    }
}

diesel::table! {
    tags (resource_id, tag) {
        resource_id -> Text,
        tag -> Text,
    }
}

diesel::table! {
    compute_nodes (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        service_id -> Nullable<Integer>,
        vcpus -> Integer,
        memory_mb -> Integer,
        local_gb -> Integer,
        vcpus_used -> Integer,
        memory_mb_used -> Integer,
        local_gb_used -> Integer,
        hypervisor_type -> Text,
        hypervisor_version -> Integer,
        cpu_info -> Text,
        disk_available_least -> Nullable<Integer>,
        free_ram_mb -> Nullable<Integer>,
        free_disk_gb -> Nullable<Integer>,
        current_workload -> Nullable<Integer>,
        running_vms -> Nullable<Integer>,
        hypervisor_hostname -> Nullable<Text>,
        deleted -> Nullable<Integer>,
        host_ip -> Nullable<Text>,
        supported_instances -> Nullable<Text>,
        pci_stats -> Nullable<Text>,
        metrics -> Nullable<Text>,
        extra_resources -> Nullable<Text>,
        stats -> Nullable<Text>,
        numa_topology -> Nullable<Text>,
        host -> Nullable<Text>,
        ram_allocation_ratio -> Nullable<Double>,
        cpu_allocation_ratio -> Nullable<Double>,
        uuid -> Nullable<Text>,
        disk_allocation_ratio -> Nullable<Double>,
        mapped -> Nullable<Integer>,
    }
}

diesel::table! {
    services (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        deleted_at -> Nullable<Timestamp>,
        id -> Integer,
        host -> Nullable<Text>,
        binary -> Nullable<Text>,
        topic -> Nullable<Text>,
        report_count -> Integer,
        disabled -> Nullable<Bool>,
        deleted -> Nullable<Integer>,
        disabled_reason -> Nullable<Text>,
        last_seen_up -> Nullable<Timestamp>,
        forced_down -> Nullable<Bool>,
        version -> Nullable<Integer>,
        uuid -> Nullable<Text>,
    }
}

diesel::table! {
    instance_fences (instance_uuid) {
        instance_uuid -> Text,
        fence -> BigInt,
        written_epoch -> Nullable<BigInt>,
        verdict_uuid -> Nullable<Text>,
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    verdicts (uuid) {
        uuid -> Text,
        body -> Text,
        asked -> Nullable<Text>,
        snapshot_uuid -> Nullable<Text>,
        created_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    host_snapshots (uuid) {
        uuid -> Text,
        generation -> BigInt,
        body -> Binary,
        created_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    outbox (id) {
        id -> Text,
        instance_uuid -> Text,
        sequence -> BigInt,
        operation -> Text,
        host -> Nullable<Text>,
        payload -> Text,
        attempts -> Integer,
        not_before -> Nullable<Timestamp>,
        created_at -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    instances,
    instance_extra,
    instance_info_caches,
    instance_faults,
    instance_actions,
    instance_actions_events,
    instance_metadata,
    instance_system_metadata,
    security_groups,
    security_group_instance_association,
    block_device_mapping,
    tags,
    compute_nodes,
    services,
    instance_fences,
    verdicts,
    host_snapshots,
    outbox,
);
