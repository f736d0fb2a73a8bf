//! `content`: what a plugin wants to be put together. It names secrets and never sees them.

use wasmtime::Result;
use wasmtime::component::Resource;

use super::ContentResource;
use crate::Part;
use crate::bindings::simplenetes::pod::steps::HostContent;
use crate::call::CallState;

type ContentHandle = Resource<ContentResource>;

impl HostContent for CallState {
    fn new(&mut self) -> Result<ContentHandle> {
        self.hand_out(ContentResource::default())
    }

    fn bytes(&mut self, content: ContentHandle, bytes: Vec<u8>) -> Result<()> {
        self.add(&content, Part::Bytes(bytes))
    }

    fn secret(&mut self, content: ContentHandle, name: String) -> Result<()> {
        match name.parse() {
            Ok(name) => self.add(&content, Part::Secret(name)),
            Err(error) => Err(self.over_budget(format!("named a secret wrongly: {error}"))),
        }
    }

    fn drop(&mut self, content: ContentHandle) -> Result<()> {
        self.table.delete(content)?;
        Ok(())
    }
}

impl CallState {
    fn add(&mut self, content: &ContentHandle, part: Part) -> Result<()> {
        self.spend(part.size())?;
        self.table.get_mut(content)?.0.0.push(part);
        Ok(())
    }
}
