# The role that Rolecall assumes in an audited account. Read-only; reads no data.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "hub_role_arn" {
  description = "ARN of the role that Rolecall runs as."
  type        = string
}

variable "external_id" {
  description = "The external id from rolecall.toml (aws.external_id)."
  type        = string
  sensitive   = true
}

variable "role_name" {
  type    = string
  default = "RolecallReadOnly"
}

variable "policies_dir" {
  description = "The folder policies/aws of the Rolecall repository."
  type        = string
  default     = "../../policies/aws"
}

data "aws_partition" "current" {}

locals {
  hub_account_id = split(":", var.hub_role_arn)[4]
}

resource "aws_iam_role" "rolecall" {
  name                 = var.role_name
  description          = "Read by Rolecall"
  max_session_duration = 3600
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RolecallHub"
      Effect    = "Allow"
      Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${local.hub_account_id}:root" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:PrincipalArn" = var.hub_role_arn }
        StringEquals = { "sts:ExternalId" = var.external_id }
        StringLike   = { "sts:RoleSessionName" = "rolecall-*" }
      }
    }]
  })
}

resource "aws_iam_role_policy" "read" {
  name   = "read"
  role   = aws_iam_role.rolecall.id
  policy = file("${var.policies_dir}/member-role.json")
}

output "role_arn" {
  value = aws_iam_role.rolecall.arn
}
