//! The contract as Rust, generated from `wit/`.
#![allow(
    missing_docs,
    clippy::all,
    clippy::allow_attributes,
    unused_qualifications,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    imports: { default: trappable },
    with: {
        "simplenetes:pod/view.view": crate::recorder::ViewResource,
        "simplenetes:pod/view.answer": crate::recorder::AnswerResource,
        "simplenetes:pod/steps.steps": crate::recorder::StepsResource,
        "simplenetes:pod/steps.content": crate::recorder::ContentResource,
        "simplenetes:pod/steps.options": crate::recorder::OptionsResource,
        "simplenetes:pod/report.report": crate::recorder::ReportResource,
    },
});
