//! Arguments held against their declaration, with QEMU's wording and order (`qapi/qobject-input-visitor.c`).
//!
//! Members are visited in the order of the declaration, depth first; the first that is wrong is reported. Members that
//! the declaration does not have are reported last. Of several such members QEMU names the one that GLib's hash table yields
//! first; this server names the first in the order of QEMU's own dictionary.

use crate::schema::{Member, Struct, Type, Union};
use crate::{CommandError, Object, Value};

/// Where a value is, for the error: `a.b[2]`.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Element(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(Path::Root, name) => (*name).to_owned(),
            Self::Member(parent, name) => format!("{}.{name}", parent.text()),
            Self::Element(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }

    /// The bare name, which is all that some of QEMU's errors tell; elements have none.
    fn last(&self) -> &str {
        match self {
            Self::Member(_, name) => name,
            Self::Root | Self::Element(..) => "null",
        }
    }
}

/// Whether `arguments` are what a command takes.
pub(crate) fn check(arguments: &Object<'_>, declared: &Struct) -> Result<(), CommandError> {
    check_struct(arguments, declared, &Path::Root)
}

fn check_struct(object: &Object<'_>, declared: &Struct, path: &Path<'_>) -> Result<(), CommandError> {
    for Member { name, kind, optional } in &declared.members {
        let path = Path::Member(path, name);
        match object.get(name) {
            Some(value) => check_value(value, kind, &path)?,
            None if *optional => {}
            None => return Err(CommandError::generic(format!("Parameter '{}' is missing", path.text()))),
        }
    }
    let undeclared = object.iter().find(|(name, _)| !declared.members.iter().any(|member| member.name == *name));
    match undeclared {
        Some((name, _)) => {
            Err(CommandError::generic(format!("Parameter '{}' is unexpected", Path::Member(path, name).text())))
        }
        None => Ok(()),
    }
}

/// A union's discriminator is checked first, then the members of its case.
fn check_union(object: &Object<'_>, declared: &Union, path: &Path<'_>) -> Result<(), CommandError> {
    let (tag, cases) = &declared.tag;
    let case = object.get(tag).and_then(Value::as_str);
    let case = case.and_then(|case| cases.values.iter().position(|value| value == case));
    let members = case.and_then(|case| declared.variants.get(case)).map(|case| case.members.clone());
    let tag = Member { name: tag.clone(), kind: Type::Enum(cases.clone()), optional: false };
    let members = std::iter::once(tag).chain(members.unwrap_or_default()).collect();
    check_struct(object, &Struct { members }, path)
}

fn check_value(value: &Value<'_>, kind: &Type, path: &Path<'_>) -> Result<(), CommandError> {
    let expected = match (kind, value) {
        (Type::Any, _)
        | (Type::Str, Value::Str(_))
        | (Type::Int, Value::Int(_))
        | (Type::Uint64, Value::Int(_) | Value::Uint(_))
        | (Type::Number, Value::Int(_) | Value::Uint(_) | Value::Float(_))
        | (Type::Bool, Value::Bool(_))
        | (Type::Null, Value::Null) => return Ok(()),
        (Type::Struct(declared), Value::Object(object)) => return check_struct(object, declared, path),
        (Type::Union(declared), Value::Object(object)) => return check_union(object, declared, path),
        (Type::Array(kind), Value::Array(items)) => {
            return items.iter().enumerate().try_for_each(|(i, item)| check_value(item, kind, &Path::Element(path, i)));
        }
        (Type::Enum(kind), Value::Str(text)) => {
            if kind.values.iter().any(|value| value == text) {
                return Ok(());
            }
            return Err(CommandError::generic(format!("Parameter '{}' does not accept value '{text}'", path.last())));
        }
        (Type::Ranged { name, min, max }, Value::Int(value)) => {
            if (min..=max).contains(&value) {
                return Ok(());
            }
            return Err(CommandError::generic(format!("Parameter '{}' expects {name}", path.last())));
        }
        // An unsigned type is read as uint64 first, and that has a wording of its own.
        (Type::Ranged { name, min: 0, .. }, Value::Uint(_)) => {
            return Err(CommandError::generic(format!("Parameter '{}' expects {name}", path.last())));
        }
        (Type::Uint64 | Type::Ranged { min: 0, .. }, _) => {
            return Err(CommandError::generic(format!("Parameter '{}' expects uint64", path.text())));
        }
        (Type::Str | Type::Enum(_), _) => "string",
        (Type::Int | Type::Ranged { .. }, _) => "integer",
        (Type::Number, _) => "number",
        (Type::Bool, _) => "boolean",
        (Type::Null, _) => "null",
        (Type::Array(_), _) => "array",
        (Type::Struct(_) | Type::Union(_), _) => "object",
    };
    Err(CommandError::generic(format!("Invalid parameter type for '{}', expected: {expected}", path.text())))
}

#[cfg(test)]
mod tests {
    use qmp_schema::SocketAddress;

    use super::*;

    fn outcome(arguments: &Object<'_>) -> String {
        let inner = Struct::new().required("b", Type::array(Type::of(["on", "off"]))).optional("n", Type::UINT8);
        let declared = Struct::new()
            .required("s", Type::Str)
            .optional("a", inner)
            .optional("size", Type::Uint64)
            .optional("f", Type::Number)
            .optional("any", Type::Any)
            .optional("i", Type::INT32);
        check(arguments, &declared).map_or_else(|error| error.desc, |()| "ok".to_owned())
    }

    #[test]
    fn the_first_in_the_order_of_the_declaration_is_reported() {
        let s = || Object::<'static>::new().with("s", "x");
        let a = |inner: Object<'static>| s().with("a", inner);
        let b = |items: Vec<Value<'static>>| Object::new().with("b", items);
        for (arguments, expected) in [
            (s(), "ok"),
            (Object::new().with("z", 1).with("y", 2), "Parameter 's' is missing"),
            // `y` is before `z` in QEMU's dictionary.
            (s().with("z", 1).with("y", 2), "Parameter 'y' is unexpected"),
            (Object::new().with("s", 5), "Invalid parameter type for 's', expected: string"),
            (a(Object::new()), "Parameter 'a.b' is missing"),
            (a(b(vec!["on".into()])), "ok"),
            (a(b(vec!["on".into(), "x".into()])), "Parameter 'null' does not accept value 'x'"),
            (a(b(vec!["on".into(), 1.into()])), "Invalid parameter type for 'a.b[1]', expected: string"),
            (a(b(vec![]).with("n", 256)), "Parameter 'n' expects uint8_t"),
            (a(b(vec![]).with("n", -1)), "Parameter 'n' expects uint8_t"),
            (a(b(vec![]).with("n", 1.0)), "Parameter 'a.n' expects uint64"),
            (a(b(vec![]).with("c", 1)), "Parameter 'a.c' is unexpected"),
            (s().with("a", 1), "Invalid parameter type for 'a', expected: object"),
            (s().with("size", u64::MAX), "ok"),
            (s().with("size", "1"), "Parameter 'size' expects uint64"),
            (s().with("f", "1"), "Invalid parameter type for 'f', expected: number"),
            (s().with("f", 1), "ok"),
            (s().with("any", Value::Null), "ok"),
            (s().with("i", 1_i64 << 31), "Parameter 'i' expects int32_t"),
            (s().with("i", 1.0), "Invalid parameter type for 'i', expected: integer"),
        ] {
            assert_eq!(outcome(&arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn the_discriminator_of_a_union_is_checked_before_its_members() {
        let declared = Struct::new().required("addr", SocketAddress::TYPE);
        for (addr, expected) in [
            (Object::from([("type", "unix"), ("path", "/x")]), "ok"),
            (Object::from([("path", "/x")]), "Parameter 'addr.type' is missing"),
            (Object::from([("type", "x"), ("path", "/x")]), "Parameter 'type' does not accept value 'x'"),
            (Object::from([("type", "unix")]), "Parameter 'addr.path' is missing"),
            (Object::from([("type", "unix"), ("path", "/x"), ("cid", "3")]), "Parameter 'addr.cid' is unexpected"),
            (Object::from([("type", "vsock"), ("cid", "3"), ("port", "1")]), "ok"),
        ] {
            let arguments = Object::new().with("addr", addr);
            let found = check(&arguments, &declared).map_or_else(|error| error.desc, |()| "ok".to_owned());
            assert_eq!(found, expected, "{arguments}");
        }
    }
}
