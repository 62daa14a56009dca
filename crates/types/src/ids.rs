//! The ids: one type for each kind of uuid, so that none is taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::InvalidField;

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidField;

            fn from_str(text: &str) -> Result<Self, InvalidField> {
                Uuid::try_parse(text).map(Self).map_err(|_| {
                    InvalidField::new($field, text, "a uuid such as 8a0ee18f-cefc-48f2-bc87-354e9d164617")
                })
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl $name {
            /// The 36 characters that the databases hold.
            pub fn text(&self) -> String {
                self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
            }
        }
    };
}

uuid_type!(
    /// An instance; a version 4 uuid, as clients expect.
    InstanceUuid,
    "instance uuid"
);
uuid_type!(
    /// A cell, as in `cell_mappings.uuid`.
    CellUuid,
    "cell uuid"
);
uuid_type!(
    /// The instances of one multi-create.
    GroupUuid,
    "group uuid"
);
uuid_type!(
    /// One effect outside the databases; stable, so that the receiver applies it once.
    OperationUuid,
    "operation uuid"
);
uuid_type!(
    /// A control plane: the API database and all its cells carry it.
    PlaneUuid,
    "plane uuid"
);
impl CellUuid {
    /// The cell for instances that were never scheduled: all zeros, as in Nova.
    pub const CELL0: CellUuid = CellUuid(Uuid::nil());

    /// Whether this is cell0. The uuid decides; the name plays no part.
    pub fn is_cell0(&self) -> bool {
        *self == Self::CELL0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_uuid_names_the_field_and_the_value() {
        let error = "not-a-uuid".parse::<InstanceUuid>().unwrap_err();
        assert_eq!(error.field, "instance uuid");
        assert!(error.to_string().contains("not-a-uuid"), "{error}");
    }

    #[test]
    fn only_the_zero_uuid_is_cell0() {
        assert!("00000000-0000-0000-0000-000000000000".parse::<CellUuid>().unwrap().is_cell0());
        assert!(!CellUuid(Uuid::from_u128(1)).is_cell0());
    }
}
