//! `beneathd group`: users who are granted something together.

use beneath_catalog::{GroupName, UserName};
use clap::{Args, Subcommand};

use super::terminal::Confirmation;
use super::{Common, Failure, catalog};

/// Manage groups
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd group add finance\n  beneathd group join finance alice")]
pub(super) struct Group {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Add a group
    Add(Named),
    /// Remove a group and all that was granted to it
    Remove(Remove),
    /// Put a user into a group
    #[command(after_help = "Example:\n  beneathd group join finance alice")]
    Join(Membership),
    /// Take a user out of a group
    #[command(after_help = "Example:\n  beneathd group leave finance alice")]
    Leave(Membership),
    /// List groups
    List(List),
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd group add finance")]
struct Named {
    /// The name of the group
    group: GroupName,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd group remove finance")]
struct Remove {
    /// The name of the group
    group: GroupName,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
struct Membership {
    /// The name of the group
    group: GroupName,
    /// What the user logs in with
    user: UserName,
    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  beneathd group list --json")]
struct List {
    #[command(flatten)]
    common: Common,
}

impl Group {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.act {
            Act::Add(named) => named.add(),
            Act::Remove(remove) => remove.run(),
            Act::Join(membership) => membership.join(),
            Act::Leave(membership) => membership.leave(),
            Act::List(list) => list.run(),
        }
    }
}

impl Named {
    fn add(&self) -> Result<(), Failure> {
        let catalog = catalog::with_roots(&self.common.config()?, [])?;
        let change = catalog::operator(&catalog).add_group(&self.group)?;
        self.common.output().done("group", &self.group, "added", &change);
        Ok(())
    }
}

impl Remove {
    fn run(&self) -> Result<(), Failure> {
        let question = format!("Remove group {}, with all that was granted to it?", self.group);
        self.confirmation.ask(&question)?;
        let change = catalog::act(&self.common, |operator| operator.remove_group(&self.group))?;
        self.common
            .output()
            .done("group", &self.group, "removed", &change);
        Ok(())
    }
}

impl Membership {
    fn join(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| {
            operator.join_group(&self.group, &self.user)
        })?;
        self.common.output().done(
            "user",
            &self.user,
            &format!("is in group {}", self.group),
            &change,
        );
        Ok(())
    }

    fn leave(&self) -> Result<(), Failure> {
        let change = catalog::act(&self.common, |operator| {
            operator.leave_group(&self.group, &self.user)
        })?;
        self.common.output().done(
            "user",
            &self.user,
            &format!("is not in group {} any more", self.group),
            &change,
        );
        Ok(())
    }
}

impl List {
    fn run(&self) -> Result<(), Failure> {
        let catalog = catalog::existing(&self.common.config()?)?;
        let operator = catalog::operator(&catalog);
        let mut groups = Vec::new();
        catalog::all_pages(|page| operator.groups(page), |group| groups.push(group.name))?;
        groups.sort_unstable();
        for group in groups {
            let mut members = Vec::new();
            catalog::all_pages(
                |page| operator.members(&group, page),
                |member| members.push(member.as_str().to_owned()),
            )?;
            members.sort_unstable();
            let printed = serde_json::json!({ "name": group.as_str(), "members": members });
            self.common
                .output()
                .result(&printed, || format!("{group}  {}", members.join(",")));
        }
        Ok(())
    }
}
