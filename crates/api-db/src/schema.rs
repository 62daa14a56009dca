//! The tables as the migrations make them; a test compares both.
#![allow(missing_docs, unreachable_pub)]

diesel::table! {
    cell_mappings (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        uuid -> Text,
        name -> Nullable<Text>,
        transport_url -> Nullable<Text>,
        database_connection -> Nullable<Text>,
        disabled -> Nullable<Bool>,
    }
}

diesel::table! {
    instance_mappings (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        instance_uuid -> Text,
        cell_id -> Nullable<Integer>,
        project_id -> Text,
        queued_for_delete -> Nullable<Bool>,
        user_id -> Nullable<Text>,
    }
}

diesel::table! {
    host_mappings (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        cell_id -> Integer,
        host -> Text,
    }
}

diesel::table! {
    build_requests (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        project_id -> Text,
        instance_uuid -> Nullable<Text>,
        instance -> Nullable<Text>,
        block_device_mappings -> Nullable<Text>,
        tags -> Nullable<Text>,
    }
}

diesel::table! {
    request_specs (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        instance_uuid -> Text,
        spec -> Text,
    }
}

diesel::table! {
    flavors (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        name -> Text,
        id -> Integer,
        memory_mb -> Integer,
        vcpus -> Integer,
        swap -> Integer,
        vcpu_weight -> Nullable<Integer>,
        flavorid -> Text,
        rxtx_factor -> Nullable<Double>,
        root_gb -> Nullable<Integer>,
        ephemeral_gb -> Nullable<Integer>,
        disabled -> Nullable<Bool>,
        is_public -> Nullable<Bool>,
        description -> Nullable<Text>,
    }
}

diesel::table! {
    flavor_extra_specs (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        flavor_id -> Integer,
        key -> Text,
        value -> Nullable<Text>,
    }
}

diesel::table! {
    flavor_projects (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        flavor_id -> Integer,
        project_id -> Text,
    }
}

diesel::table! {
    quotas (id) {
        id -> Integer,
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        project_id -> Nullable<Text>,
        resource -> Text,
        hard_limit -> Nullable<Integer>,
    }
}

diesel::table! {
    project_user_quotas (id) {
        id -> Integer,
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        user_id -> Text,
        project_id -> Text,
        resource -> Text,
        hard_limit -> Nullable<Integer>,
    }
}

diesel::table! {
    quota_classes (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        class_name -> Nullable<Text>,
        resource -> Nullable<Text>,
        hard_limit -> Nullable<Integer>,
    }
}

diesel::table! {
    aggregates (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        uuid -> Nullable<Text>,
        name -> Nullable<Text>,
    }
}

diesel::table! {
    aggregate_hosts (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        host -> Nullable<Text>,
        aggregate_id -> Integer,
    }
}

diesel::table! {
    aggregate_metadata (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        aggregate_id -> Integer,
        key -> Text,
        value -> Text,
    }
}

diesel::table! {
    instance_groups (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        user_id -> Nullable<Text>,
        project_id -> Nullable<Text>,
        uuid -> Text,
        name -> Nullable<Text>,
    }
}

diesel::table! {
    instance_group_member (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        instance_uuid -> Nullable<Text>,
        group_id -> Integer,
    }
}

diesel::table! {
    instance_group_policy (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        policy -> Nullable<Text>,
        group_id -> Integer,
        rules -> Nullable<Text>,
    }
}

diesel::table! {
    key_pairs (id) {
        created_at -> Nullable<Timestamp>,
        updated_at -> Nullable<Timestamp>,
        id -> Integer,
        name -> Text,
        user_id -> Text,
        fingerprint -> Nullable<Text>,
        public_key -> Nullable<Text>,
        #[sql_name = "type"]
        type_ -> Text,
    }
}

diesel::table! {
    boot_states (instance_uuid) {
        instance_uuid -> Text,
        group_uuid -> Text,
        group_index -> Integer,
        group_min -> Integer,
        epoch -> BigInt,
        decided_epoch -> Nullable<BigInt>,
        owner -> Nullable<Text>,
        lease_until -> Nullable<Timestamp>,
        not_before -> Nullable<Timestamp>,
        attempts -> Integer,
        placements -> Integer,
        excluded_cells -> Nullable<Text>,
        request_version -> BigInt,
        vcpus -> Integer,
        memory_mb -> Integer,
        display_name -> Nullable<Text>,
        image_ref -> Nullable<Text>,
        instance_type_id -> Nullable<Integer>,
        availability_zone -> Nullable<Text>,
        key_name -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    boot_intents (instance_uuid, epoch) {
        instance_uuid -> Text,
        epoch -> BigInt,
        cell_uuid -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    boot_groups (uuid) {
        uuid -> Text,
        min_count_met -> Bool,
        verdict -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    client_tokens (project_id, token) {
        project_id -> Text,
        token -> Text,
        group_uuid -> Text,
        digest -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    claims (instance_uuid) {
        instance_uuid -> Text,
        epoch -> BigInt,
        host -> Text,
        vcpus -> Integer,
        memory_mb -> Integer,
        disk_gb -> Integer,
        created_at -> Timestamp,
        alternates -> Nullable<Text>,
    }
}

diesel::table! {
    host_capacity (host) {
        host -> Text,
        node -> Text,
        cell_uuid -> Text,
        vcpus_limit -> Integer,
        memory_mb_limit -> Integer,
        disk_gb_limit -> Integer,
        vcpus_used -> Integer,
        memory_mb_used -> Integer,
        disk_gb_used -> Integer,
        traits -> Text,
        service_disabled -> Bool,
        forced_down -> Bool,
        last_seen_up -> Nullable<Timestamp>,
        generation -> BigInt,
        served_generation -> BigInt,
        created_at -> Timestamp,
        updated_at -> Nullable<Timestamp>,
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

diesel::table! {
    quota_locks (project_id) {
        project_id -> Text,
        generation -> BigInt,
    }
}

diesel::table! {
    counters (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    retries (sequence) {
        sequence -> BigInt,
        instance_uuid -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    boot_histories (instance_uuid) {
        instance_uuid -> Text,
        request_id -> Text,
        history -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    waiting_classes (uuid) {
        uuid -> Text,
        project_id -> Text,
        vcpus -> Integer,
        memory_mb -> Integer,
        disk_gb -> Integer,
        served_at -> Timestamp,
        created_at -> Timestamp,
    }
}

diesel::table! {
    waiting_instances (instance_uuid) {
        instance_uuid -> Text,
        class_uuid -> Text,
        state -> Text,
        version -> BigInt,
        attempts -> Integer,
        not_before -> Nullable<Timestamp>,
        expires_at -> Timestamp,
        created_at -> Timestamp,
        updated_at -> Nullable<Timestamp>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    cell_mappings,
    instance_mappings,
    host_mappings,
    build_requests,
    request_specs,
    flavors,
    flavor_extra_specs,
    flavor_projects,
    quotas,
    project_user_quotas,
    quota_classes,
    aggregates,
    aggregate_hosts,
    aggregate_metadata,
    instance_groups,
    instance_group_member,
    instance_group_policy,
    key_pairs,
    boot_states,
    boot_intents,
    boot_groups,
    client_tokens,
    claims,
    host_capacity,
    outbox,
    quota_locks,
    counters,
    retries,
    boot_histories,
    waiting_classes,
    waiting_instances,
);

diesel::joinable!(instance_mappings -> cell_mappings (cell_id));
diesel::joinable!(host_mappings -> cell_mappings (cell_id));
diesel::joinable!(flavor_extra_specs -> flavors (flavor_id));
diesel::joinable!(aggregate_hosts -> aggregates (aggregate_id));
diesel::joinable!(instance_group_policy -> instance_groups (group_id));
