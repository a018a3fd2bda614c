//! The entries of the directory.

use std::fmt::Write as _;

/// The password of every user.
pub const PASSWORD: &str = "bar";

/// Ordinary users, users with special characters in their names, users who may not sign in, groups nested in a loop,
/// and a service account that may read.
pub const PEOPLE: &str = r"dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=People,dc=example,dc=org
objectClass: organizationalUnit
ou: People

dn: ou=Elsewhere,ou=People,dc=example,dc=org
objectClass: organizationalUnit
ou: Elsewhere

dn: ou=Groups,dc=example,dc=org
objectClass: organizationalUnit
ou: Groups

dn: ou=Policies,dc=example,dc=org
objectClass: organizationalUnit
ou: Policies

dn: cn=default,ou=Policies,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdMustChange: TRUE

dn: cn=expiring,ou=Policies,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: expiring
pwdAttribute: userPassword
pwdMaxAge: 60

dn: cn=service,dc=example,dc=org
objectClass: device
objectClass: simpleSecurityObject
cn: service
userPassword: service-password

dn: uid=jane,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: jane
sn: Doe
cn: Jane Doe
mail: jane@example.org
mail: jane.doe@example.org
employeeNumber: 1001
departmentNumber: dev
departmentNumber: ops
userPassword: bar
memberOf: cn=admins,ou=Groups,dc=example,dc=org

dn: uid=joe,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: joe
sn: Average
cn: Joe Average
mail: joe@example.org
employeeNumber: 1002
userPassword: bar

dn: uid=zo\C3\AB \28ops\29 *,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: zoë (ops) *
sn: Zoe
cn:: Wm/DqyAob3BzKQ==
mail: zoe@example.org
employeeNumber: 1003
userPassword: bar

dn: cn=comma\2C plus\+ hash\#,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: comma
sn: Comma
cn: comma, plus+ hash#
mail: comma@example.org
employeeNumber: 1004
userPassword: bar

dn: uid=twin,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
sn: Twin
cn: Twin One
mail: twin1@example.org
userPassword: bar

dn: uid=twin,ou=Elsewhere,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
sn: Twin
cn: Twin Two
mail: twin2@example.org
userPassword: bar

dn: uid=nomail,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
objectClass: foreignAccount
uid: nomail
sn: Nomail
cn: No Mail
objectGUID:: //79/A==
userPassword: bar

dn: uid=locked,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: locked
sn: Locked
cn: Locked Up
mail: locked@example.org
userPassword: bar
pwdAccountLockedTime: 000001010000Z

dn: uid=reset,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: reset
sn: Reset
cn: Must Change
mail: reset@example.org
userPassword: bar
pwdReset: TRUE

dn: uid=expired,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
uid: expired
sn: Expired
cn: Ex Pired
mail: expired@example.org
userPassword: bar
pwdChangedTime: 20200101000000Z
pwdPolicySubentry: cn=expiring,ou=Policies,dc=example,dc=org

dn: uid=off,ou=People,dc=example,dc=org
objectClass: inetOrgPerson
objectClass: foreignAccount
uid: off
sn: Off
cn: Switched Off
mail: off@example.org
userAccountControl: 514
userPassword: bar

dn: cn=admins,ou=Groups,dc=example,dc=org
objectClass: groupOfNames
cn: admins
member: uid=jane,ou=People,dc=example,dc=org
member: cn=everybody,ou=Groups,dc=example,dc=org

dn: cn=developers,ou=Groups,dc=example,dc=org
objectClass: groupOfNames
cn: developers
member: uid=jane,ou=People,dc=example,dc=org
member: uid=joe,ou=People,dc=example,dc=org

dn: cn=staff,ou=Groups,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: cn=developers,ou=Groups,dc=example,dc=org
member: cn=admins,ou=Groups,dc=example,dc=org

dn: cn=everybody,ou=Groups,dc=example,dc=org
objectClass: groupOfNames
cn: everybody
member: cn=staff,ou=Groups,dc=example,dc=org

dn: cn=a \28group\29\, with: *,ou=Groups,dc=example,dc=org
objectClass: groupOfNames
cn: a (group), with: *
member: uid=zo\C3\AB \28ops\29 *,ou=People,dc=example,dc=org

dn: cn=of commas,ou=Groups,dc=example,dc=org
objectClass: groupOfNames
cn: of commas
member: cn=comma\2C plus\+ hash\#,ou=People,dc=example,dc=org

dn: cn=dev,ou=Groups,dc=example,dc=org
objectClass: device
cn: dev

dn: cn=ops,ou=Groups,dc=example,dc=org
objectClass: device
cn: ops
";

/// This many further groups, each with joe and as many other members.
pub fn many_groups(number: usize) -> String {
    (0..number).fold(String::new(), |mut ldif, n| {
        // Writing into a String cannot fail.
        let _ = write!(
            ldif,
            "dn: uid=s{n},ou=People,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: s{n}\n\
             sn: S\ncn: Stranger {n}\nmail: s{n}@example.org\n\n\
             dn: cn=g{n:05},ou=Groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: g{n:05}\n\
             member: uid=joe,ou=People,dc=example,dc=org\n\n"
        );
        ldif
    })
}
