//! Every link of the site leads somewhere.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use course::site;

/// What stands in quotes after each `before` in `html`.
fn quoted<'a>(html: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    html.split(before)
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
}

#[test]
fn each_link_and_anchor_leads_somewhere() {
    let files = site::build().unwrap();
    let anchors: HashMap<&str, HashSet<&str>> = files
        .iter()
        .map(|file| (file.path.as_str(), quoted(&file.text, " id=\"").collect()))
        .collect();
    let mut wrong = Vec::new();
    let mut number = 0;
    for file in files.iter().filter(|file| file.path.ends_with(".html")) {
        let links = quoted(&file.text, " href=\"").chain(quoted(&file.text, " src=\""));
        for link in links.filter(|link| !link.starts_with("data:")) {
            number += 1;
            if link.contains("://") {
                if !link.starts_with("https://") {
                    wrong.push(format!("{}: {link} is not https", file.path));
                }
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let path = match path.strip_prefix("../") {
                Some(path) => path.to_string(),
                None if path.is_empty() => file.path.clone(),
                None if folder.is_empty() => path.to_string(),
                None => format!("{folder}/{path}"),
            };
            match anchors.get(path.as_str()) {
                None => wrong.push(format!("{}: {link}: no such page", file.path)),
                Some(anchors) if !anchor.is_empty() && !anchors.contains(anchor) => {
                    wrong.push(format!("{}: {link}: no such anchor", file.path));
                }
                Some(_) => {}
            }
        }
    }
    assert!(number > 0);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
