//! Each brand's files by name, and what a person does on the phone to have them fetched.

use crate::switch::device::{Brand, Device, Mac};

/// A file that a brand asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    /// Its name; `{mac}` is the phone's hardware address and `*` the model.
    pub name: &'static str,
    /// The template that it is made from.
    pub template: &'static str,
    /// What it is sent as.
    pub content_type: &'static str,
}

const fn file(name: &'static str, template: &'static str, content_type: &'static str) -> File {
    File { name, template, content_type }
}

const TEXT: &str = "text/plain; charset=utf-8";
const XML: &str = "text/xml; charset=utf-8";

/// The files of a brand, the main one first.
#[must_use]
pub const fn files(brand: Brand) -> &'static [File] {
    match brand {
        Brand::Yealink => const { &[file("{mac}.cfg", "yealink.cfg", TEXT)] },
        Brand::Grandstream => const { &[file("cfg{mac}.xml", "grandstream.xml", XML)] },
        Brand::Fanvil => const { &[file("{mac}.cfg", "fanvil.xml", XML)] },
        Brand::Snom => {
            const {
                &[
                    file("snom*-{mac}.htm", "snom.xml", XML),
                    file("snom*-{mac}.xml", "snom.xml", XML),
                    file("{mac}.xml", "snom.xml", XML),
                    file("settings.xml", "snom.xml", XML),
                ]
            }
        }
        Brand::Alcatel => const { &[file("config.{mac}.xml", "alcatel.xml", XML)] },
        Brand::Flyingvoice => const { &[file("{mac}.cfg", "flyingvoice.cfg", TEXT)] },
        Brand::Generic => {
            const {
                &[
                    file("config.json", "generic.json", "application/json"),
                    file("config.txt", "generic.txt", TEXT),
                ]
            }
        }
    }
}

/// Does the brand name its main file by the phone's MAC?
#[must_use]
pub fn needs_mac(brand: Brand) -> bool {
    files(brand).first().is_some_and(|file| file.name.contains("{mac}"))
}

/// What a name that was asked for is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// One of the phone's files.
    File(File),
    /// Nothing that this phone has; many look for files that are for all of a model.
    Nothing,
    /// The name has the MAC of another device.
    OtherMac,
}

/// The device's file of this name. Capitals do not matter; the bare address is the main file.
#[must_use]
pub fn find(device: &Device, name: &str) -> Found {
    let name = name.to_ascii_lowercase();
    let files = files(device.brand);
    if name.is_empty() {
        return files.first().map_or(Found::Nothing, |file| Found::File(*file));
    }
    if let Some(file) = files.iter().find(|file| is_named(file.name, &name, device.mac)) {
        return Found::File(*file);
    }
    let is_other = mac_in(&name).is_some_and(|mac| Some(mac) != device.mac);
    if is_other { Found::OtherMac } else { Found::Nothing }
}

fn is_named(pattern: &str, name: &str, mac: Option<Mac>) -> bool {
    let wanted = match (pattern.contains("{mac}"), mac) {
        (true, Some(mac)) => pattern.replace("{mac}", &mac.to_string()),
        (true, None) => return false,
        (false, _) => pattern.to_owned(),
    };
    match wanted.split_once('*') {
        None => wanted == name,
        Some((before, after)) => {
            let model = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            model.is_some_and(|model| model.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        }
    }
}

/// The MAC in a name: a run of exactly twelve hex digits. Files for all phones of a model have numbers of twelve digits
/// too, such as `y000000000108.cfg`; those begin with zeros as no maker's addresses do.
fn mac_in(name: &str) -> Option<Mac> {
    let runs = name.split(|c: char| !c.is_ascii_hexdigit());
    // `cfg` ends in letters that are no hex digits, `config.` in a dot: nothing of a name sticks to the MAC.
    runs.filter(|run| run.len() == 12 && !run.starts_with("000000")).find_map(Mac::parse)
}

/// What a person does, in order, on the phone or on its web page.
#[must_use]
pub fn steps(brand: Brand, url: &str) -> Vec<String> {
    let words: &[&str] = match brand {
        Brand::Yealink => &[
            "Menu > Status shows the phone's address: open it in a browser and log in.",
            "Settings > Auto Provision: Server URL is the address below, user and password stay empty.",
            "Confirm, then Auto Provision Now.",
        ],
        Brand::Grandstream => &[
            "Open the phone's address in a browser and log in as admin.",
            "Maintenance > Upgrade and Provisioning > Config: Config Upgrade Via HTTPS, Config Server Path is the address below without https://.",
            "Save and Apply, then restart the phone.",
        ],
        Brand::Fanvil => &[
            "Open the phone's address in a browser and log in as admin.",
            "System > Auto Provision > Static Provisioning Server: Server Address is the address below, Configuration File Name stays empty, Protocol Type HTTPS, Update Mode Update After Reboot.",
            "Apply, then restart the phone.",
        ],
        Brand::Snom => &[
            "Open the phone's address in a browser and log in.",
            "Advanced > Update: Setting URL is the address below.",
            "Apply, save, then restart the phone.",
        ],
        Brand::Alcatel => &[
            "Open the phone's address in a browser and log in as admin.",
            "Device > Provisioning: DM URL (server URL) is the address below, user and password stay empty.",
            "Submit, then restart the phone. A second outbound proxy is entered by hand under Account.",
        ],
        Brand::Flyingvoice => &[
            "Open the phone's address in a browser and log in as admin.",
            "Administration > Provision (Auto Provision): Server URL is the address below; turn DHCP option 120 off.",
            "Save, then restart the phone.",
        ],
        Brand::Generic => &[
            "The address below is the configuration as JSON; with config.txt behind it, as text for a person.",
        ],
    };
    words.iter().map(|step| (*step).to_owned()).chain([url.to_owned()]).collect()
}
